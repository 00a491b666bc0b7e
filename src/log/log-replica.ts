/**
 * What replication does with a log: batches that come from the leader with their offsets and epochs, epochs that begin
 * and end with leadership, and the offset up to which enough replicas have the log. A log that nobody replicates needs
 * none of it: all that it has is committed.
 */
import { assert, ErrorCode, PagelogError } from '../base/index.ts'
import { BatchFault, baseOffset, checkBatchStored, lastOffset, leaderEpoch } from '../record/index.ts'
import type { AppendResult } from './append-queue.ts'
import type { Appender } from './appender.ts'
import type { LogState } from './log-state.ts'

/** Batches on their way into the log. */
export interface ReplicatedAppend {
  /** Of whole batches. */
  readonly byteLength: number
  /** Exclusive. */
  readonly endOffset: number
  /** Of the last batch. */
  readonly lastEpoch: number
  readonly written: Promise<AppendResult>
}

export class LogReplica {
  readonly #state: LogState
  readonly #appender: Appender
  readonly #listeners = new Set<() => void>()

  constructor(state: LogState, appender: Appender) {
    this.#state = state
    this.#appender = appender
  }

  /** Exclusive; Infinity: everything. */
  get committedOffset(): number {
    return this.#state.committedOffset
  }

  /** Bytes of batches that became visible since the log was opened; what is cut is not taken off. */
  get appendedBytes(): number {
    return this.#state.counters.appendedBytes
  }

  /** Readers see no further than `offset` from now on, which never goes back; Infinity, which holds at first: everything. */
  commitTo(offset: number): void {
    const { committedOffset, logEndOffset } = this.#state
    if (offset === committedOffset) return
    assert(offset <= logEndOffset || offset === Number.POSITIVE_INFINITY, 'committed beyond the end of the log')
    assert(offset > committedOffset || committedOffset === Number.POSITIVE_INFINITY, 'what is committed went back')
    this.#state.committedOffset = offset
    for (const listener of this.#listeners) listener()
  }

  /** The one exception: what was committed beyond `offset` was given up by an unclean election. */
  uncommit(offset: number): void {
    if (offset >= this.#state.committedOffset) return
    this.#state.committedOffset = offset
    for (const listener of this.#listeners) listener()
  }

  /** `listener` runs after every `commitTo` that changed something. Returns the unsubscribe. */
  onCommit(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The leader epoch of the last batch, -1 without any. */
  get lastEpoch(): number {
    const { epochs, logEndOffset } = this.#state
    return epochs.epochAt(logEndOffset - 1)
  }

  /**
   * Appends the whole batches at the start of `bytes`, as another replica has them; what follows them, torn by the end of
   * its slice, is left out. They belong to the log until `written` settles. Each is checked by its CRC before anything is
   * queued (reliability L9). Undefined: not even the first is whole. Throws PAGELOG_CORRUPT, PAGELOG_REFUSED for batches
   * that are not in order, have gaps where nothing is compacted, or are of a later epoch than `epochMax`; `written` rejects
   * as `Log.appendBatch`, and where they do not follow what the log has.
   */
  append(bytes: Uint8Array, epochMax = Number.POSITIVE_INFINITY): ReplicatedAppend | undefined {
    const whole = checkWhole(bytes, this.#state.context, epochMax)
    if (whole === undefined) return undefined
    return { ...whole, written: this.#appender.appendReplicated(bytes, whole.byteLength) }
  }

  /** What is under way is written first. This replica leads from now on: the offset at which its epoch begins. */
  begin(epoch: number): Promise<number> {
    return this.#settled(() => {
      const { epochs, logEndOffset } = this.#state
      epochs.begin(epoch, logEndOffset)
      return logEndOffset
    })
  }

  /** What is under way is written first. This replica follows from now on: an epoch in which it has nothing is forgotten. */
  follow(): Promise<void> {
    return this.#settled(() => {
      this.#state.epochs.truncate(this.#state.logEndOffset)
    })
  }

  async #settled<T>(work: () => T): Promise<T> {
    const { structure } = this.#state
    return await structure.run(async () => {
      this.#state.assertOpen()
      return await this.#appender.exclusive(async () => work())
    })
  }
}

/** Batches must be good, in order and without gaps that compaction cannot have left. */
function checkWhole(
  bytes: Uint8Array,
  { directory: path, settings }: LogState['context'],
  epochMax: number,
): Omit<ReplicatedAppend, 'written'> | undefined {
  const mayHaveGaps = settings.cleanupPolicy.includes('compact')
  let byteLength = 0
  let endOffset = -1
  let lastEpoch = -1
  while (byteLength < bytes.length) {
    const size = checkBatchStored(bytes, byteLength, bytes.length)
    if (size === BatchFault.INCOMPLETE) break
    if (size < 0) {
      throw new PagelogError('PAGELOG_CORRUPT', `a batch from the leader is damaged (fault ${size})`, { path })
    }
    const epoch = leaderEpoch(bytes, byteLength)
    const first = baseOffset(bytes, byteLength)
    const isGap = endOffset >= 0 && first > endOffset && !mayHaveGaps
    if (first < endOffset || isGap || epoch < lastEpoch || epoch > epochMax) {
      const fields = { kafkaCode: ErrorCode.CORRUPT_MESSAGE, path }
      const message = isGap ? `offsets ${endOffset} to ${first} are missing` : 'batches are not in order'
      throw new PagelogError('PAGELOG_REFUSED', `${message} in what the leader sent`, fields)
    }
    endOffset = lastOffset(bytes, byteLength) + 1
    lastEpoch = epoch
    byteLength += size
  }
  return byteLength === 0 ? undefined : { byteLength, endOffset, lastEpoch }
}
