/**
 * Compacts the logs of a directory by itself, the dirtiest first, as Kafka's cleaner does: those whose share of dirty
 * bytes is above min.cleanable.dirty.ratio, and those in which a record has waited max.compaction.lag.ms. Each goes
 * through a worker; `log.cleaner.threads` of them at a time. When none is left it looks again after log.cleaner.backoff.ms.
 */
import { hasCode, type Logger, type PagelogError } from '../../base/index.ts'
import type { Clock, Timer } from '../../env/index.ts'
import type { CleanerSettings } from './cleaner-settings.ts'
import type { CompactionPlan } from './compaction-plan.ts'
import type { Compactor } from './compactor.ts'

export interface CleanableLog {
  readonly directory: string
  readonly settings: { readonly cleanupPolicy: readonly string[]; readonly minCleanableDirtyRatio: number }
  readonly compactor: Compactor
}

export interface CleanerOptions {
  readonly clock: Clock
  readonly settings: CleanerSettings
  readonly logger: Logger
  /** All logs of the directory. */
  readonly logs: () => Iterable<CleanableLog>
}

export interface CleanerStats {
  /** Logs being compacted. */
  readonly running: number
  /** Logs that are damaged and therefore left alone. */
  readonly uncleanable: number
  /** Since the directory was opened. */
  readonly compactions: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

const TIMER_MS_MAX = 0x7fffffff
/** Looked at in one turn of the event loop: most of the time that takes no wait. */
const LOGS_A_TURN = 32
/** Nothing to tell, or told already. */
const SAID = ['PAGELOG_CLOSED', 'PAGELOG_ABORTED', 'PAGELOG_CORRUPT', 'PAGELOG_STORAGE'] as const

export class Cleaner {
  readonly #options: CleanerOptions
  readonly #taken = new Set<CleanableLog>()
  #timer: Timer | undefined
  #round: Promise<void> | undefined
  #isStopped = false
  #compactions = 0
  #bytesRead = 0
  #bytesWritten = 0

  constructor(options: CleanerOptions) {
    this.#options = options
  }

  start(): void {
    const { settings, clock } = this.#options
    if (!settings.cleanerEnable || settings.cleanerThreads === 0) return
    this.#timer = clock.every(Math.min(TIMER_MS_MAX, settings.cleanerBackoffMs), () => {
      void this.clean()
    })
  }

  /** No compaction begins any more. Those that run end with their logs. */
  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  get stats(): CleanerStats {
    let uncleanable = 0
    for (const log of this.#options.logs()) if (log.compactor.damage !== undefined) uncleanable++
    return {
      running: this.#taken.size,
      uncleanable,
      compactions: this.#compactions,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
    }
  }

  /** Compacts what is worth it now, until nothing is; shared by those who ask meanwhile. Failures are logged. */
  clean(): Promise<void> {
    this.#round ??= this.#clean().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  async #clean(): Promise<void> {
    const threads = Math.max(1, this.#options.settings.cleanerThreads)
    const tried = new Set<CleanableLog>()
    await Promise.all(Array.from({ length: threads }, () => this.#cleanSome(tried)))
  }

  /** `tried`: of this round, so that a log that fails, or never gets clean, does not keep the others waiting. */
  async #cleanSome(tried: Set<CleanableLog>): Promise<void> {
    for (;;) {
      const log = await this.#dirtiest(tried)
      if (log === undefined || this.#isStopped) return
      tried.add(log)
      this.#taken.add(log)
      try {
        const report = await log.compactor.compact({ seal: false })
        this.#compactions++
        this.#bytesRead += report.bytesMapped + report.bytesRead
        this.#bytesWritten += report.bytesWritten
        this.#options.logger.info({ directory: log.directory, ...report }, 'log was compacted')
      } catch (error) {
        this.#failed(log, error)
      } finally {
        this.#taken.delete(log)
      }
    }
  }

  async #dirtiest(tried: ReadonlySet<CleanableLog>): Promise<CleanableLog | undefined> {
    let best: CleanableLog | undefined
    let bestRatio = -1
    let looked = 0
    for (const log of this.#options.logs()) {
      if (++looked % LOGS_A_TURN === 0) await new Promise<void>((resolve) => this.#options.clock.soon(resolve))
      const { compactor, settings } = log
      const isCandidate = settings.cleanupPolicy.includes('compact') && compactor.damage === undefined
      if (!isCandidate || tried.has(log) || compactor.isRunning || this.#isStopped) continue
      const plan = await this.#planOf(log)
      if (plan === undefined || plan.endOffset <= plan.firstDirtyOffset || tried.has(log)) continue
      const isDue = plan.isOverdue || plan.dirtyRatio > settings.minCleanableDirtyRatio
      if (!isDue || plan.dirtyRatio <= bestRatio) continue
      best = log
      bestRatio = plan.dirtyRatio
    }
    return best
  }

  async #planOf(log: CleanableLog): Promise<CompactionPlan | undefined> {
    try {
      await log.compactor.sealOverdue()
      return await log.compactor.plan()
    } catch (error) {
      this.#failed(log, error)
      return undefined
    }
  }

  /** The log says itself that it is damaged or offline. */
  #failed(log: CleanableLog, error: unknown): void {
    if (SAID.some((code) => hasCode(error, code)) && !(error as PagelogError).retriable) return
    this.#options.logger.warn({ err: error, directory: log.directory }, 'log could not be compacted')
  }
}
