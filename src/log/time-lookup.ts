/** Offsets by time: ListOffsets with a timestamp (first record that is not older) and with -3 (the newest record). */
import { PagelogError } from '../base/index.ts'
import { RecordBatch, type RecordCursor } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

/** An index entry does not name the batch that it leads to. */
const INDEX_DAMAGED = Symbol('index damaged')

export interface TimestampOffset {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

/** The first visible record, by offset, whose timestamp is at least `timestampMs`; undefined when all are older. */
export async function firstNotOlder(state: LogState, timestampMs: number): Promise<TimestampOffset | undefined> {
  for (const segment of state.segments.all) {
    if (segment.maxTimestamp < timestampMs || segment.nextOffset <= state.logStartOffset) continue
    const from = (): number => segment.timeIndex!.offsetBefore(timestampMs)
    const found = await find(state, segment, from, (timestamp) => timestamp >= timestampMs)
    if (found !== undefined) return found
  }
  return undefined
}

/** The first record that has the largest timestamp of the log; undefined when the log is empty or has no timestamps. */
export async function newest(state: LogState): Promise<TimestampOffset | undefined> {
  let best: Segment | undefined
  for (const segment of state.segments.all) {
    if (segment.size > 0 && segment.maxTimestamp > (best?.maxTimestamp ?? -1)) best = segment
  }
  if (best === undefined) return undefined
  const { maxTimestamp, maxTimestampOffset } = best
  return await find(
    state,
    best,
    () => maxTimestampOffset,
    (timestamp) => timestamp === maxTimestamp,
  )
}

/** First record that `matches`, in `segment` from the batch that ends at or behind `fromOffset()` on. */
async function find(
  state: LogState,
  segment: Segment,
  fromOffset: () => number,
  matches: (timestamp: number) => boolean,
): Promise<TimestampOffset | undefined> {
  await state.pin(segment)
  try {
    const found = await walk(state, segment, fromOffset(), matches)
    if (found !== INDEX_DAMAGED) return found
    state.logger.warn({ path: segment.path }, 'index is damaged: rebuilding it')
    await segment.rebuildIndexes()
    const again = await walk(state, segment, fromOffset(), matches)
    if (again !== INDEX_DAMAGED) return again
    throw new PagelogError('PAGELOG_CORRUPT', 'segment is damaged: no batch where one begins', { path: segment.path })
  } finally {
    state.unpin(segment)
  }
}

/** The same from `offset` on, as the index has it; it may not lead to the batch that it names. */
async function walk(
  state: LogState,
  segment: Segment,
  offset: number,
  matches: (timestamp: number) => boolean,
): Promise<TimestampOffset | typeof INDEX_DAMAGED | undefined> {
  const index = segment.offsetIndex!
  const slot = index.floorOfOffset(offset)
  const from = slot < 0 ? 0 : index.positionAt(slot)
  if (from < 0 || from > segment.size) return INDEX_DAMAGED
  const scanner = new BatchScanner(segment.file, { from, to: segment.size, verify: false })
  while (scanner.next() || (await scanner.more())) {
    const header = new RecordBatch(scanner.bytes, scanner.at)
    if (slot >= 0 && scanner.position === from && header.lastOffset !== index.offsetAt(slot)) return INDEX_DAMAGED
    // The largest timestamp of a batch decides whether any record of it can match.
    if (header.lastOffset < state.logStartOffset || !matches(header.maxTimestamp)) continue
    const found = findRecord(new RecordBatch(await scanner.body(), 0), state.logStartOffset, matches)
    if (found !== undefined) return found
  }
  return scanner.fault === undefined ? undefined : INDEX_DAMAGED
}

/** In a compressed batch records are not looked at: its first offset stands for them. */
function findRecord(
  batch: RecordBatch,
  startOffset: number,
  matches: (timestamp: number) => boolean,
): TimestampOffset | undefined {
  const { leaderEpoch } = batch
  if (batch.compression !== 0) {
    return { offset: Math.max(startOffset, batch.baseOffset), timestamp: batch.maxTimestamp, leaderEpoch }
  }
  const cursor: RecordCursor = batch.cursor()
  while (cursor.next()) {
    if (cursor.offset >= startOffset && matches(cursor.timestamp)) {
      return { offset: cursor.offset, timestamp: cursor.timestamp, leaderEpoch }
    }
  }
  return undefined
}
