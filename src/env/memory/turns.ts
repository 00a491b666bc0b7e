/**
 * Lets work happen a turn of the event loop later, in the order of the calls: a disk in memory answers no earlier than
 * a real one would, and a long walk over it lets others run.
 */
import type { Clock } from '../clock.ts'

/** Copied within one turn: well below a millisecond. */
const TURN_BYTES = 1024 * 1024
const TURN_CALLS = 64

interface Call {
  readonly bytes: number
  readonly run: () => void
}

export class Turns {
  readonly #clock: Pick<Clock, 'soon'>
  #waiting: Call[] = []
  #isScheduled = false

  constructor(clock: Pick<Clock, 'soon'>) {
    this.#clock = clock
  }

  /** `bytes`: how much `work` copies. Rejects with what it throws. */
  run<T>(work: () => T, bytes = 0): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(work())
        } catch (error) {
          reject(error)
        }
      }
      this.#waiting.push({ bytes, run })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(this.#turn)
  }

  readonly #turn = (): void => {
    this.#isScheduled = false
    let bytes = 0
    let count = 0
    while (count < this.#waiting.length && count < TURN_CALLS && bytes < TURN_BYTES) {
      const call = this.#waiting[count++]!
      bytes += call.bytes
      call.run()
    }
    this.#waiting.splice(0, count)
    if (this.#waiting.length > 0) this.#schedule()
  }
}
