/** The aborted transactions of a log, for compaction to leave their records out. */
import { buildTransactionIndex } from '../log-replay.ts'
import type { LogState } from '../log-state.ts'
import type { Segment } from '../segment.ts'
import type { TransactionEntry, TransactionIndex } from '../transaction-index.ts'

/** Those with batches at or behind `from`, by rising first offset; their markers may lie anywhere up to the end of the log. */
export async function abortedEntries(state: LogState, from: number): Promise<TransactionEntry[]> {
  const entries: TransactionEntry[] = []
  for (const segment of state.segments.all) {
    if (segment.isRetired) continue // trimmed meanwhile
    await state.pin(segment)
    try {
      const index = await indexOf(state, segment)
      for (let slot = 0; slot < index.count; slot++) {
        const entry = index.entryAt(slot)
        if (entry.lastOffset >= from) entries.push(entry)
      }
    } finally {
      state.unpin(segment)
    }
  }
  return entries.sort((a, b) => a.firstOffset - b.firstOffset)
}

/** Unknown is not empty: without it the records of an aborted transaction would hide those that count. */
async function indexOf(state: LogState, segment: Segment): Promise<TransactionIndex> {
  if (segment.transactionIndex !== undefined) return segment.transactionIndex
  const endOffset = segment === state.segments.active ? state.logEndOffset : segment.nextOffset
  const range = { context: state.context, segments: state.segments.all }
  const index = await buildTransactionIndex(range, state.snapshots, segment, endOffset)
  segment.setTransactionIndex(index, endOffset)
  return index
}
