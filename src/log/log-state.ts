/** What the parts of one log share: where it stands. Only the log's own files touch it. */
import { type Logger, PagelogError } from '../base/index.ts'
import type { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment, SegmentContext } from './segment.ts'
import type { Segments } from './segments.ts'

export class LogState {
  readonly context: SegmentContext
  readonly logger: Logger
  readonly segments: Segments
  readonly producers: ProducerState
  readonly epochs: LeaderEpochCheckpoint
  logStartOffset: number
  /** Exclusive; what readers see. Behind it only bytes that the kernel has taken (reliability L1). */
  logEndOffset: number
  /** Exclusive; what the kernel has taken: ahead of `logEndOffset` while an append waits for its fsync. */
  writtenEndOffset: number
  /** Exclusive; everything before it was synced to the device. Only grows after fsync. */
  recoveryPoint: number
  /** Files were created in the directory that fsync of the directory has not covered yet (reliability L6). */
  hasUnsyncedNames = true
  isClosed = false
  /** The reason why the log is offline until restart (reliability L5). */
  failure: Error | undefined
  readonly #onFailure: (error: Error) => void

  constructor(
    parts: Pick<LogState, 'context' | 'logger' | 'segments' | 'producers' | 'epochs'>,
    offsets: Pick<LogState, 'logStartOffset' | 'recoveryPoint'>,
    onFailure: (error: Error) => void,
  ) {
    this.context = parts.context
    this.logger = parts.logger
    this.segments = parts.segments
    this.producers = parts.producers
    this.epochs = parts.epochs
    this.logStartOffset = offsets.logStartOffset
    this.recoveryPoint = offsets.recoveryPoint
    this.logEndOffset = parts.segments.active.nextOffset
    this.writtenEndOffset = this.logEndOffset
    this.#onFailure = onFailure
  }

  /**
   * Loads a sealed segment for a use that may wait; pinned, it stays loaded until the caller says `unpin`. Others that
   * have long not been used are unloaded for it.
   */
  async pin(segment: Segment): Promise<void> {
    segment.pins++
    try {
      if (!segment.isLoaded) await segment.load()
      const refusal = this.refusal()
      if (refusal !== undefined) {
        await segment.unload() // closed while it was loaded
        throw refusal
      }
      this.segments.noteLoaded(segment, (one) => one.nextOffset <= this.recoveryPoint)
    } catch (error) {
      segment.pins--
      throw error
    }
  }

  unpin(segment: Segment): void {
    segment.pins--
  }

  /** Takes the log offline; the first failure is kept. */
  fail(error: Error): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.logger.error({ err: error, directory: this.context.directory }, 'log is offline after a failed write')
    this.#onFailure(error)
  }

  /** Why nothing can be done with the log any more; undefined when all is well. */
  refusal(): PagelogError | undefined {
    const path = this.context.directory
    if (this.failure !== undefined) {
      return new PagelogError('PAGELOG_STORAGE', 'log directory is offline', { cause: this.failure, path })
    }
    return this.isClosed ? new PagelogError('PAGELOG_CLOSED', 'log is closed', { path }) : undefined
  }
}
