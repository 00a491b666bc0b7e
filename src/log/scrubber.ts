/**
 * Reads the logs of a directory through in the background, a slice at a time at `pagelog.scrub.bytes.per.second`, and says
 * which are damaged: what was there at start first, then everything again each `pagelog.scrub.interval.ms`. It only tells;
 * what becomes of the log is its owner's business.
 */
import { hasCode, type Logger, type PagelogError, surfaceInvariant } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import type { LogScrub, ScrubPace } from './log-scrub.ts'
import type { LogDirectorySettings } from './log-settings.ts'

export interface ScrubbedLog {
  readonly directory: string
  readonly size: number
  readonly scrub: LogScrub
}

export interface ScrubberOptions<L extends ScrubbedLog> {
  readonly clock: Clock
  readonly settings: Pick<LogDirectorySettings, 'scrubBytesPerSecond' | 'scrubIntervalMs'>
  readonly logger: Logger
  /** All logs of the directory that are not known to be damaged. */
  logs(): Iterable<L>
  /** Whether others rely on the log, so that it goes before those of which that is not known. */
  isFirst(log: L): boolean
  onDamage(log: L, error: PagelogError): void
}

export interface ScrubStats {
  readonly isRunning: boolean
  /** Since the directory was opened: times that all logs were read, and bytes. */
  readonly passes: number
  readonly bytesRead: number
  /** Logs that were found damaged. */
  readonly damaged: number
}

/** A start has better things to do first. */
const DELAY_MS = 1000
const TIMER_MS_MAX = 0x7fffffff
/** Shorter waits are not worth a timer. */
const WAIT_MS_MIN = 2
/** Logs in one turn of the event loop, of which nothing is read. */
const LOOKS_A_TURN = 256

export class Scrubber<L extends ScrubbedLog> implements ScrubPace {
  readonly #options: ScrubberOptions<L>
  #isStopped = false
  /** Somebody waits for the pass, so the process must live until its end; for one in the background it must not. */
  #isAwaited = false
  #pass: Promise<void> | undefined
  #next: Timer | undefined
  /** Of those that wait: what is read ahead, and what was read before. */
  readonly #wakes = new Set<() => void>()
  #dueMs = 0
  #passes = 0
  #bytesRead = 0
  #damaged = 0

  constructor(options: ScrubberOptions<L>) {
    this.#options = options
  }

  start(): void {
    if (this.#options.settings.scrubBytesPerSecond > 0) this.#after(DELAY_MS)
  }

  /** Nothing is read any more when what is under way has resolved. */
  stop(): Promise<void>[] {
    this.#isStopped = true
    this.#next?.cancel()
    for (const wake of this.#wakes) wake()
    return this.#pass === undefined ? [] : [this.#pass]
  }

  get stats(): ScrubStats {
    const [passes, bytesRead, damaged] = [this.#passes, this.#bytesRead, this.#damaged]
    return { isRunning: this.#pass !== undefined, passes, bytesRead, damaged }
  }

  /** Looks at every log once, from now on; shared by those who ask meanwhile. */
  scrub(): Promise<void> {
    this.#isAwaited = true
    for (const wake of this.#wakes) wake() // out of waits that would not keep the process alive
    return this.#run()
  }

  async take(bytes: number, read = 0): Promise<boolean> {
    const { clock, settings } = this.#options
    const bytesPerMs = settings.scrubBytesPerSecond / 1000
    const nowMs = clock.monotonicMs()
    this.#bytesRead += read
    if (bytesPerMs > 0) {
      this.#dueMs = Math.max(nowMs, this.#dueMs) + bytes / bytesPerMs
      const waitMs = this.#dueMs - nowMs
      if (waitMs >= WAIT_MS_MIN && !this.#isStopped) await this.#wait(waitMs)
    }
    return !this.#isStopped
  }

  #run(): Promise<void> {
    this.#pass ??= this.#readAll().finally(() => {
      this.#pass = undefined
      this.#isAwaited = false
    })
    return this.#pass
  }

  #after(delayMs: number): void {
    const partMs = Math.min(TIMER_MS_MAX, delayMs)
    this.#next = this.#inBackground(partMs, () => {
      if (partMs < delayMs) this.#after(delayMs - partMs)
      else void this.#run().then(() => this.#passed())
    })
  }

  /** As `clock.after`, but it does not keep the process alive. */
  #inBackground(delayMs: number, callback: () => void): Timer {
    const timer = this.#options.clock.every(delayMs, () => {
      timer.cancel()
      callback()
    })
    return timer
  }

  #passed(): void {
    if (!this.#isStopped) this.#after(this.#options.settings.scrubIntervalMs)
  }

  async #readAll(): Promise<void> {
    const { logs, isFirst, clock } = this.#options
    const read = new Set<L>()
    let looked = 0
    for (const onlyFirst of [true, false]) {
      for (const log of [...logs()]) {
        if (++looked % LOOKS_A_TURN === 0) await new Promise<void>((resolve) => clock.soon(resolve))
        if (this.#isStopped) return
        if (read.has(log) || (onlyFirst && !isFirst(log))) continue
        read.add(log)
        if (log.size > 0) await this.#readOne(log)
      }
    }
    this.#passes++
  }

  async #readOne(log: L): Promise<void> {
    const { logger, onDamage } = this.#options
    try {
      const damage = await log.scrub.run(this)
      if (damage === undefined) return
      this.#damaged++
      onDamage(log, damage)
    } catch (error) {
      surfaceInvariant(error)
      if (hasCode(error, 'PAGELOG_CLOSED')) return
      logger.warn({ err: error, directory: log.directory }, 'a log could not be read through')
    }
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel()
        this.#wakes.delete(wake)
        resolve()
      }
      const timer = this.#isAwaited ? this.#options.clock.after(delayMs, wake) : this.#inBackground(delayMs, wake)
      this.#wakes.add(wake)
    })
  }
}
