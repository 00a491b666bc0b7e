/** Walks over batches that are trusted, by their headers, to find what they say of producers and leader epochs. */
import { hasCode, PagelogError } from '../base/index.ts'
import type { File } from '../env/index.ts'
import { baseOffset, isControl } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import { segmentFileName } from './file-names.ts'
import { namedBatch } from './index-files.ts'
import { OffsetIndex } from './offset-index.ts'
import { type ProducerBatch, readProducerBatch } from './producer-batch.ts'
import type { ProducerSnapshots } from './producer-snapshots.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment, SegmentContext } from './segment.ts'
import { type TransactionEntry, TransactionIndex } from './transaction-index.ts'

/** Called per batch, its header at `at` in `bytes`. */
export type BatchVisitor = (bytes: Uint8Array, at: number, producerBatch: ProducerBatch | undefined) => void

export interface ReplayRange {
  readonly context: SegmentContext
  readonly segments: readonly Segment[]
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

/** Visits every batch that has offsets in the range. Errors: PAGELOG_CORRUPT, PAGELOG_STORAGE. */
export async function replay(range: ReplayRange, visit: BatchVisitor): Promise<void> {
  const { context, segments, from, to } = range
  for (const [index, segment] of segments.entries()) {
    const endOffset = segments[index + 1]?.baseOffset ?? Number.POSITIVE_INFINITY
    if (endOffset <= from || segment.size === 0) continue
    if (segment.baseOffset >= to) return
    await replaySegment({ context, segments: [segment], from, to }, visit)
  }
}

/** The producers as the batches before `offset` leave them: the newest good snapshot, and what follows it. */
export async function producersAt(
  range: Pick<ReplayRange, 'context' | 'segments'>,
  snapshots: ProducerSnapshots,
  offset: number,
): Promise<ProducerState> {
  const { offset: from, state } = await snapshots.loadLatest(offset, range.segments[0]?.baseOffset ?? 0)
  if (from < offset) {
    await replay({ ...range, from: Math.max(0, from), to: offset }, (_bytes, _at, batch) => {
      if (batch !== undefined && batch.lastOffset >= from) state.replay(batch)
    })
  }
  return state
}

/** The transaction index of a segment, as its batches before `endOffset` say. */
export async function buildTransactionIndex(
  range: Pick<ReplayRange, 'context' | 'segments'>,
  snapshots: ProducerSnapshots,
  segment: Segment,
  endOffset: number,
): Promise<TransactionIndex> {
  const producers = await producersAt(range, snapshots, segment.baseOffset)
  const index = TransactionIndex.empty(range.context.settings.segmentIndexBytes)
  const only = { context: range.context, segments: [segment], from: segment.baseOffset, to: endOffset }
  await replay(only, (_bytes, _at, batch) => {
    const completed: TransactionEntry | undefined = batch && abortedBy(producers, batch)
    if (completed !== undefined) index.append(completed)
  })
  return index
}

/** Replays a batch: the transaction that it aborted, if it did. */
export function abortedBy(producers: ProducerState, batch: ProducerBatch): TransactionEntry | undefined {
  const completed = producers.replay(batch)
  return completed?.isAborted ? completed : undefined
}

async function replaySegment(range: ReplayRange, visit: BatchVisitor): Promise<void> {
  const { context, from, to } = range
  const segment = range.segments[0]!
  const file = await openToRead(context, segment)
  if (file === undefined) return
  try {
    const start = await floorPosition(context, segment, file, from)
    const scanner = new BatchScanner(file, { from: start, to: segment.size, verify: false })
    while (scanner.next() || (await scanner.more())) {
      if (scanner.lastOffset < from) continue
      if (baseOffset(scanner.bytes, scanner.at) >= to) return
      const found = producerBatchAt(scanner)
      visit(scanner.bytes, scanner.at, found instanceof Promise ? await found : found)
    }
    if (scanner.fault !== undefined) {
      const fields = { path: segment.path, position: scanner.position }
      throw new PagelogError('PAGELOG_CORRUPT', `segment is damaged: ${scanner.fault}`, fields)
    }
  } finally {
    await file.close()
  }
}

/** What the batch that a scanner stands on says of its producer; a marker is read whole. */
export function producerBatchAt(scanner: BatchScanner): ProducerBatch | undefined | Promise<ProducerBatch | undefined> {
  if (!isControl(scanner.bytes, scanner.at)) return readProducerBatch(scanner.bytes, scanner.at)
  return scanner.body().then((body) => readProducerBatch(body, 0))
}

/** Position of a batch at or before the one that holds `offset`: by the index file, if that leads to a batch. */
export async function floorPosition(
  context: SegmentContext,
  segment: Segment,
  file: File,
  offset: number,
): Promise<number> {
  if (offset <= segment.baseOffset) return 0
  const path = `${context.directory}/${segmentFileName(segment.baseOffset, '.index')}`
  const content = await context.disk.readFile(path)
  const index =
    content && OffsetIndex.load(segment.baseOffset, context.settings.segmentIndexBytes, content, segment.size)
  const slot = index?.floorOfOffset(offset - 1) ?? -1
  if (index === undefined || slot < 0) return 0
  return (await namedBatch(file, index, slot)) === undefined ? 0 : index.positionAt(slot)
}

/** Undefined: the log gave the segment up meanwhile. */
async function openToRead(context: SegmentContext, segment: Segment): Promise<File | undefined> {
  try {
    return await context.disk.open(segment.path, 'read')
  } catch (error) {
    if (hasCode(error, 'PAGELOG_NOT_FOUND') && segment.isRetired) return undefined
    throw error
  }
}
