/** The index files of a segment that is not in memory: their last entries, and how they are written. */
import { hasCode } from '../base/index.ts'
import type { Disk, File } from '../env/index.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  lastOffset,
  MAGIC_V2,
  magic,
  maxTimestamp,
  readInt32,
  readInt64,
} from '../record/index.ts'
import { SEGMENT_SIDE_SUFFIXES, segmentFileName } from './file-names.ts'
import type { LogSettings } from './log-settings.ts'
import { OFFSET_ENTRY_BYTES, OffsetIndex } from './offset-index.ts'
import type { Segment, SegmentContext } from './segment.ts'
import { TIME_ENTRY_BYTES, TimeIndex } from './time-index.ts'
import { TransactionIndex } from './transaction-index.ts'

export interface LastTime {
  readonly timestamp: number
  readonly offset: number
}

/** What the last entry of a time index says; undefined when `tail`, the end of a file of `size` bytes, has none. */
export function lastTimeIn(tail: Uint8Array, size: number, baseOffset: number): LastTime | undefined {
  if (size === 0 || size % TIME_ENTRY_BYTES !== 0 || tail.length < TIME_ENTRY_BYTES) return undefined
  const at = tail.length - TIME_ENTRY_BYTES
  const timestamp = readInt64(tail, at)
  const relative = readInt32(tail, at + 8)
  // Kafka reserves the file in zeros and cuts it at a clean close only.
  const isReserved = timestamp === 0 && relative === 0
  return isReserved || timestamp < 0 || relative < 0 ? undefined : { timestamp, offset: baseOffset + relative }
}

export interface LastPosition {
  /** Last offset of the batch at `position`. */
  readonly offset: number
  readonly position: number
}

/** The same of an offset index. */
export function lastPositionIn(tail: Uint8Array, size: number, baseOffset: number): LastPosition | undefined {
  if (size === 0 || size % OFFSET_ENTRY_BYTES !== 0 || tail.length < OFFSET_ENTRY_BYTES) return undefined
  const relative = readInt32(tail, tail.length - OFFSET_ENTRY_BYTES)
  const position = readInt32(tail, tail.length - OFFSET_ENTRY_BYTES + 4)
  return relative < 0 || position <= 0 ? undefined : { offset: baseOffset + relative, position }
}

/** Of the time index file at `path`; undefined when it is missing or cannot be right. */
export async function readLastTime(disk: Disk, path: string, baseOffset: number): Promise<LastTime | undefined> {
  let file: File
  try {
    file = await disk.open(path, 'read')
  } catch (error) {
    if (hasCode(error, 'PAGELOG_NOT_FOUND')) return undefined
    throw error
  }
  try {
    const tail = new Uint8Array(Math.min(file.size, TIME_ENTRY_BYTES))
    await file.read(tail, file.size - tail.length)
    return lastTimeIn(tail, file.size, baseOffset)
  } finally {
    await file.close()
  }
}

/** Of the first batch of a `.log` file. */
export async function readFirstTime(file: Pick<File, 'read' | 'tryRead'>): Promise<number> {
  const header = new Uint8Array(BATCH_HEADER_BYTES)
  if (file.tryRead(header, 0) < header.length) await file.read(header, 0)
  return maxTimestamp(header, 0)
}

/** Of a file that lost its end, or is that of an earlier time: two intervals behind the last entry there is another. */
export function isTooSparse(index: OffsetIndex, segmentBytes: number, settings: LogSettings): boolean {
  const last = index.count === 0 ? 0 : index.positionAt(index.count - 1)
  return !index.isFull && segmentBytes - last > 2 * (settings.indexIntervalBytes + settings.maxMessageBytes)
}

/** Not synced: an index file that a crash tears is built anew. */
export async function writeIndexFile(disk: Disk, path: string, content: Uint8Array): Promise<void> {
  const file = await disk.open(path, 'write')
  try {
    await file.truncate(0)
    if (content.length > 0) await file.write([content.slice()], 0)
  } finally {
    await file.close()
  }
}

export async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, 'write')
  try {
    await file.dataSync()
  } finally {
    await file.close()
  }
}

/** What the index files of a segment say of its batches before the one at `position`. */
export interface IndexesBefore {
  readonly offsetIndex: OffsetIndex
  readonly timeIndex: TimeIndex
  /** Undefined: unknown. */
  readonly transactionIndex: TransactionIndex | undefined
  readonly position: number
  /** Base offset of the batch at `position`. */
  readonly nextOffset: number
}

/**
 * Of the last batch with an entry before `offset`; undefined when there is none, or a file is missing or leads astray.
 * `wasSaved`: the files were written when the log ended at `offset`, so that all aborted transactions before it are in.
 */
export async function readIndexesBefore(
  context: SegmentContext,
  segment: Segment,
  offset: number,
  wasSaved: boolean,
): Promise<IndexesBefore | undefined> {
  const { disk, directory, settings } = context
  if (offset <= segment.baseOffset) return undefined
  const bytesMax = settings.segmentIndexBytes
  const [offsets, times, transactions] = await Promise.all(
    SEGMENT_SIDE_SUFFIXES.map((suffix) => disk.readFile(`${directory}/${segmentFileName(segment.baseOffset, suffix)}`)),
  )
  const file = await segment.openFile()
  const offsetIndex = offsets && OffsetIndex.load(segment.baseOffset, bytesMax, offsets, file.size)
  const timeIndex = times && TimeIndex.load(segment.baseOffset, bytesMax, times)
  if (offsetIndex === undefined || timeIndex === undefined) return undefined
  const slot = offsetIndex.floorOfOffset(offset - 1)
  const header = slot < 0 ? undefined : await namedBatch(file, offsetIndex, slot)
  if (header === undefined) return undefined
  const position = offsetIndex.positionAt(slot)
  const nextOffset = baseOffset(header, 0)
  const transactionIndex =
    transactions && TransactionIndex.load(bytesMax, transactions, segment.baseOffset, Number.MAX_SAFE_INTEGER)
  offsetIndex.truncate(slot)
  timeIndex.truncate(nextOffset)
  transactionIndex?.truncate(wasSaved ? offset : nextOffset)
  return { offsetIndex, timeIndex, transactionIndex, position, nextOffset }
}

/** Header of the batch that an entry leads to; undefined when that is not the batch that it names. */
export async function namedBatch(
  file: Pick<File, 'read'>,
  index: OffsetIndex,
  slot: number,
): Promise<Uint8Array | undefined> {
  const header = new Uint8Array(BATCH_HEADER_BYTES)
  const position = index.positionAt(slot)
  if (position < 0 || (await file.read(header, position)) < header.length) return undefined
  return magic(header, 0) === MAGIC_V2 && lastOffset(header, 0) === index.offsetAt(slot) ? header : undefined
}
