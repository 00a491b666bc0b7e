/**
 * What read_committed readers need: up to where the log is decided, and which transactions below that were aborted
 * (KIP-98). The answer comes from the transaction indexes of the segments; one that is unknown is built by a walk over
 * the headers of its segment, once.
 */
import { PagelogError } from '../base/index.ts'
import { buildTransactionIndex } from './log-replay.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'
import type { AbortedTransaction, TransactionIndex } from './transaction-index.ts'

/** Exclusive: before it every transaction is committed or aborted. Between log start and high watermark. */
export function lastStableOffset(state: LogState): number {
  const { highWatermark } = state
  const first = state.producers.firstUnstableOffset ?? highWatermark
  return Math.min(highWatermark, Math.max(state.logStartOffset, first))
}

/**
 * Of offsets `from` ≤ … < `to`. Errors: PAGELOG_OFFSET_OUT_OF_RANGE (`from` is, or meanwhile was, trimmed: with its segments
 * went what is known of it), PAGELOG_CORRUPT, PAGELOG_STORAGE, PAGELOG_CLOSED.
 */
export async function abortedTransactions(state: LogState, from: number, to: number): Promise<AbortedTransaction[]> {
  for (;;) {
    state.assertOpen()
    const found = await collect(state, from, to)
    if (from < state.logStartOffset && from < to) {
      const { logStartOffset, context } = state
      const message = `offset ${from} is before the start of the log at ${logStartOffset}`
      throw new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', message, { offset: from, path: context.directory })
    }
    if (found !== undefined) return found
  }
}

/** Undefined: the log gave one of the segments up meanwhile, and another may have what was in there. */
async function collect(state: LogState, from: number, to: number): Promise<AbortedTransaction[] | undefined> {
  const found: AbortedTransaction[] = []
  if (from >= to) return found
  const first = state.segments.find(from)
  for (const segment of state.segments.all) {
    if (segment.baseOffset < first.baseOffset) continue
    // The marker of a transaction may be segments behind it.
    const isAll = await collectFrom(state, segment, { from, to }, found)
    if (isAll === undefined) return undefined
    if (isAll) break
  }
  return found
}

/** Undefined: it is no longer the log's. */
async function collectFrom(
  state: LogState,
  segment: Segment,
  range: { from: number; to: number },
  into: AbortedTransaction[],
): Promise<boolean | undefined> {
  if (segment.isRetired) return undefined
  try {
    await state.pin(segment)
  } catch (error) {
    // While it waited for a descriptor.
    if (segment.isRetired && state.refusal() === undefined) return undefined
    throw error
  }
  try {
    const index = await transactionIndexOf(state, segment)
    return index.collect(range.from, range.to, into)
  } finally {
    state.unpin(segment)
  }
}

/** Of a pinned segment, built by a walk over it when it is unknown. */
export async function transactionIndexOf(state: LogState, segment: Segment): Promise<TransactionIndex> {
  const { context, segments, snapshots, logger } = state
  for (;;) {
    if (segment.transactionIndex !== undefined) return segment.transactionIndex
    logger.warn({ path: segment.path }, 'transaction index is missing or damaged: building it')
    const { cuts } = state
    const { nextOffset } = segment
    const index = await buildTransactionIndex({ context, segments: segments.all }, snapshots, segment, nextOffset)
    // Somebody else was faster, or what was walked over has been cut meanwhile.
    if (segment.transactionIndex !== undefined || cuts !== state.cuts) continue
    segment.setTransactionIndex(index, nextOffset)
    // The active one is written when it is sealed.
    if (segment !== segments.active) await segment.saveTransactionIndex()
    return index
  }
}
