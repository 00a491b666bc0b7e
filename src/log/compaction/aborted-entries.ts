/** The aborted transactions of a log, for compaction to leave their records out. */
import type { LogState } from '../log-state.ts'
import type { TransactionEntry } from '../transaction-index.ts'
import { transactionIndexOf } from '../transactions.ts'

/** Those with batches at or behind `from`, by rising first offset; their markers may lie anywhere up to the end of the log. */
export async function abortedEntries(state: LogState, from: number): Promise<TransactionEntry[]> {
  const entries: TransactionEntry[] = []
  for (const segment of state.segments.all) {
    if (segment.isRetired) continue // trimmed meanwhile
    await state.pin(segment)
    try {
      // Unknown is not empty: without it the records of an aborted transaction would hide those that count.
      const index = await transactionIndexOf(state, segment)
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
