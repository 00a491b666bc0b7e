/**
 * One log line for each refused request or closed connection, and no more than a hundred a second: a client gone wrong
 * must not fill the disk with its story. What was left out is counted in the next line.
 */
import type { Logger } from '../base/index.ts'
import type { Clock } from '../env/index.ts'

const LINES_PER_SECOND = 100

export class Refusals {
  readonly #logger: Logger
  readonly #clock: Clock
  #second = 0
  #lines = 0
  #unreported = 0
  #suppressed = 0

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  get suppressed(): number {
    return this.#suppressed
  }

  note(fields: object, message: string): void {
    const second = Math.floor(this.#clock.monotonicMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#lines = 0
    }
    if (this.#lines >= LINES_PER_SECOND) {
      this.#suppressed++
      this.#unreported++
      return
    }
    this.#lines++
    this.#logger.warn(this.#unreported > 0 ? { ...fields, linesSuppressed: this.#unreported } : fields, message)
    this.#unreported = 0
  }
}
