/**
 * Files of segments that a log gave up (trimmed, expired, cut off, replaced by a compacted one). The log has forgotten
 * them already; readers that have them pinned, or hold regions of them, go on with the open descriptor.
 *
 *   side files unlinked → `.log` renamed to `.log.deleted` → unlinked, after file.delete.delay.ms where that is asked for
 *
 * After the rename no open takes the file for a segment any more; what a crash leaves behind is removed by the next open.
 */
import type { Timer } from '../env/index.ts'
import { DELETED_SUFFIX, SEGMENT_SIDE_SUFFIXES, segmentFileName } from './file-names.ts'
import type { Segment, SegmentContext } from './segment.ts'

interface Doomed {
  readonly path: string
  readonly dueMs: number
}

export class DiscardedSegments {
  readonly #context: SegmentContext
  readonly #onFailure: (error: Error) => void
  /** Renamed, not unlinked yet; by rising due time. */
  #doomed: Doomed[] = []
  #timer: Timer | undefined
  #unlinking: Promise<void> = Promise.resolve()
  #hasDiscarded = false

  constructor(context: SegmentContext, onFailure: (error: Error) => void) {
    this.#context = context
    this.#onFailure = onFailure
  }

  /** Names went since the log was opened. */
  get hasDiscarded(): boolean {
    return this.#hasDiscarded
  }

  /** Files that wait for their delay. */
  get count(): number {
    return this.#doomed.length
  }

  /**
   * Takes the names off the segments in the order given: from the front for the start of a log, from the back for its
   * end, so that a crash leaves no hole. Resolves when no segment has its name any more; without a delay, no file
   * either. A failure takes the log offline and rejects.
   */
  async discard(segments: readonly Segment[], delayMs: number): Promise<void> {
    const { disk, directory, clock } = this.#context
    this.#hasDiscarded ||= segments.length > 0
    try {
      for (const segment of segments) {
        await segment.retire()
        for (const suffix of SEGMENT_SIDE_SUFFIXES) {
          await disk.unlink(`${directory}/${segmentFileName(segment.baseOffset, suffix)}`)
        }
        if (delayMs <= 0) {
          await disk.unlink(segment.path)
          continue
        }
        const renamed = `${segment.path}${DELETED_SUFFIX}`
        await disk.rename(segment.path, renamed)
        this.#doomed.push({ path: renamed, dueMs: clock.monotonicMs() + delayMs })
      }
    } catch (error) {
      this.#onFailure(error as Error)
      throw error
    }
    this.#schedule()
  }

  /** No file waits any more: `unlink` removes those that did, otherwise they stay as after a crash. */
  async stop(options: { unlink: boolean }): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    if (options.unlink) this.#unlink(Number.POSITIVE_INFINITY)
    this.#doomed = []
    await this.#unlinking
  }

  #schedule(): void {
    const first = this.#doomed[0]
    if (first === undefined || this.#timer !== undefined) return
    const { clock } = this.#context
    const delayMs = Math.min(0x7fffffff, Math.max(1, first.dueMs - clock.monotonicMs()))
    // `every`, since nobody waits for it: it must not keep the process alive.
    const timer = clock.every(delayMs, () => {
      timer.cancel()
      this.#timer = undefined
      this.#unlink(clock.monotonicMs())
      this.#schedule()
    })
    this.#timer = timer
  }

  #unlink(nowMs: number): void {
    const due = this.#doomed.filter((one) => one.dueMs <= nowMs)
    this.#doomed = this.#doomed.filter((one) => one.dueMs > nowMs)
    this.#unlinking = this.#unlinking.then(async () => {
      try {
        for (const { path } of due) await this.#context.disk.unlink(path)
      } catch (error) {
        this.#onFailure(error as Error)
      }
    })
  }
}
