/** Offsets by time: ListOffsets with a timestamp (first record that is not older) and with -3 (the newest record). */
import { hasCode, PagelogError } from '../base/index.ts'
import { RecordBatch } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import { byWorker, tryInPlace } from './codec-work.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'
import { type FoundRecord, findRecord, findRecordJob, type TimeRange } from './time-jobs.ts'

/** An index entry does not name the batch that it leads to. */
const INDEX_DAMAGED = Symbol('index damaged')
/** The log gave the segment up meanwhile. */
const REMOVED = Symbol('removed')

export interface TimestampOffset {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

/** The first visible record, by offset, whose timestamp is at least `timestampMs`; undefined when all are older. */
export async function firstNotOlder(state: LogState, timestampMs: number): Promise<TimestampOffset | undefined> {
  for (const segment of state.segments.all) {
    if (segment.nextOffset <= state.logStartOffset) continue
    await state.loadTimes(segment)
    if (segment.isRetired) return await firstNotOlder(state, timestampMs) // removed meanwhile: look again
    if (segment.maxTimestamp < timestampMs) continue
    const from = (): number => segment.timeIndex!.offsetBefore(timestampMs)
    const found = await find(state, segment, from, { least: timestampMs, most: Number.POSITIVE_INFINITY })
    if (found === REMOVED) return await firstNotOlder(state, timestampMs)
    if (found !== undefined) return found
  }
  return undefined
}

/** The first record that has the largest timestamp of the log; undefined when the log is empty or has no timestamps. */
export async function newest(state: LogState): Promise<TimestampOffset | undefined> {
  let best: Segment | undefined
  for (const segment of state.segments.all) {
    await state.loadTimes(segment)
    if (segment.size > 0 && segment.maxTimestamp > (best?.maxTimestamp ?? -1)) best = segment
  }
  if (best === undefined) return undefined
  if (best.isRetired) return await newest(state) // removed meanwhile: look again
  const { maxTimestamp, maxTimestampOffset } = best
  const found = await find(state, best, () => maxTimestampOffset, { least: maxTimestamp, most: maxTimestamp })
  return found === REMOVED ? await newest(state) : found
}

type Times = Pick<TimeRange, 'least' | 'most'>

/** First record of these times, in `segment` from the batch that ends at or behind `fromOffset()` on. */
async function find(
  state: LogState,
  segment: Segment,
  fromOffset: () => number,
  times: Times,
): Promise<TimestampOffset | typeof REMOVED | undefined> {
  try {
    await state.pin(segment)
  } catch (error) {
    // While it waited for a descriptor.
    if (segment.isRetired && state.refusal() === undefined) return REMOVED
    throw error
  }
  try {
    const found = await walk(state, segment, fromOffset(), times)
    if (found !== INDEX_DAMAGED) return found
    state.logger.warn({ path: segment.path }, 'index is damaged: rebuilding it')
    await segment.rebuildIndexes()
    const again = await walk(state, segment, fromOffset(), times)
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
  times: Times,
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
    const { maxTimestamp, leaderEpoch } = header
    if (header.lastOffset < state.logStartOffset || maxTimestamp < times.least || maxTimestamp > times.most) continue
    const range = { ...times, startOffset: state.logStartOffset }
    const found = await recordIn(state, new RecordBatch(await scanner.body(), 0), range)
    if (found !== undefined) return { ...found, leaderEpoch }
  }
  return scanner.fault === undefined ? undefined : INDEX_DAMAGED
}

/** In a compressed batch that cannot be opened its first offset stands for its records. */
async function recordIn(state: LogState, batch: RecordBatch, range: TimeRange): Promise<FoundRecord | undefined> {
  if (batch.compression === 0) return findRecord(batch.bytes, range)
  const bytes = batch.bytes.subarray(0, batch.sizeInBytes)
  const { workers, decompressedBytesMax: maxBytes } = state
  try {
    const plain = await tryInPlace(bytes, state)
    if (plain !== undefined) return findRecord(plain, range)
    return await byWorker(workers!, findRecordJob, bytes, (stored) => ({ batch: stored, maxBytes, range }))
  } catch (error) {
    if (!CLOSED.some((code) => hasCode(error, code))) throw error
    return { offset: Math.max(range.startOffset, batch.baseOffset), timestamp: batch.maxTimestamp }
  }
}

const CLOSED = ['PAGELOG_CORRUPT', 'PAGELOG_TOO_LARGE', 'PAGELOG_UNSUPPORTED'] as const
