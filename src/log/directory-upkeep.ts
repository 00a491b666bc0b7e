/**
 * What a log directory does by itself, now and then: checkpoints, retention, and forgetting producers that have long been
 * idle. With ten thousand logs even a look at each takes a while: it is done in parts, so that the event loop is free in
 * between.
 */
import { hasCode, type Logger } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import type { LogDirectorySettings } from './log-settings.ts'

/** Kafka looks every ten minutes (producer.id.expiration.check.interval.ms). */
const EXPIRY_CHECK_MS = 60_000
/** Longer intervals are none: a timer cannot hold them. */
const TIMER_MS_MAX = 0x7fffffff
/** Looked at in one turn of the event loop, logs and producers together: well below a millisecond. */
const LOOKS_A_TURN = 2000

export interface ExpiringLog {
  /** Forgets producers that are idle since; stops now and then, with how many it has looked at since the last time. */
  expiringProducers(timestampMs: number): Iterable<number>
}

export interface UpkeepParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly path: string
  readonly settings: LogDirectorySettings
  readonly logs: () => Iterable<ExpiringLog>
  readonly checkpoint: () => Promise<void>
  readonly applyRetention: () => Promise<void>
  /** It is offline, or closes: nothing is done any more. */
  readonly isOver: () => boolean
  /** A checkpoint could not be written: other than for want of room the directory cannot go on. */
  readonly onFailure: (error: Error) => void
}

export class DirectoryUpkeep {
  readonly #parts: UpkeepParts
  #timers: Timer[] = []
  #expiring: Promise<void> | undefined

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  start(): void {
    const { settings } = this.#parts
    this.#every(settings.flushOffsetCheckpointIntervalMs, () => void this.checkpoint())
    this.#every(EXPIRY_CHECK_MS, () => void this.expireProducers())
    this.#every(settings.logRetentionCheckIntervalMs, () => this.#retain())
  }

  /** Nothing begins any more; what runs ends by itself. */
  stop(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers = []
  }

  /** Writes the checkpoints. Older recovery points only mean a longer scan: a full disk is no reason to stop. */
  async checkpoint(): Promise<void> {
    const { checkpoint, logger, onFailure } = this.#parts
    try {
      await checkpoint()
    } catch (error) {
      if (hasCode(error, 'PAGELOG_DISK_FULL')) logger.warn({ err: error }, 'checkpoint could not be written')
      else onFailure(error as Error)
    }
  }

  /** Forgets producers that were idle for producer.id.expiration.ms; shared by those who ask while it goes on. */
  expireProducers(): Promise<void> {
    this.#expiring ??= this.#expire().finally(() => {
      this.#expiring = undefined
    })
    return this.#expiring
  }

  async #expire(): Promise<void> {
    const { clock, settings, logs, isOver } = this.#parts
    const expiredBefore = clock.nowMs() - settings.producerIdExpirationMs
    let looks = 0
    for (const log of logs()) {
      looks++
      for (const seen of log.expiringProducers(expiredBefore)) {
        looks += seen
        if (looks < LOOKS_A_TURN) continue
        looks = 0
        await new Promise<void>((resolve) => clock.soon(resolve))
        if (isOver()) return
      }
    }
  }

  #retain(): void {
    const { applyRetention, isOver, logger, path } = this.#parts
    applyRetention().catch((error: Error) => {
      if (!isOver()) logger.warn({ err: error, path }, 'retention could not be applied everywhere')
    })
  }

  #every(intervalMs: number, run: () => void): void {
    const { clock, isOver } = this.#parts
    const timer = clock.every(Math.min(TIMER_MS_MAX, intervalMs), () => {
      if (!isOver()) run()
    })
    this.#timers.push(timer)
  }
}
