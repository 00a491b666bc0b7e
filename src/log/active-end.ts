/**
 * The end of the active segment after a clean shutdown, by the last entries of its index files and the few batches behind
 * them: mostly out of what was read with the listing, without opening a file.
 */
import { hasCode } from '../base/index.ts'
import { baseOffset, lastOffset, maxTimestamp } from '../record/index.ts'
import { BatchScanner, type BatchSource } from './batch-scanner.ts'
import { segmentFileName } from './file-names.ts'
import { type LastPosition, lastPositionIn, lastTimeIn } from './index-files.ts'
import { damaged, type Opening } from './log-opening.ts'
import { floorPosition } from './log-replay.ts'
import { compactedEndOf } from './offset-order.ts'
import type { Segment } from './segment.ts'

export type SegmentEnd = Pick<Segment, 'nextOffset' | 'maxTimestamp' | 'maxTimestampOffset'>

/** Errors: PAGELOG_CORRUPT. */
export async function readActiveEnd(opening: Opening, segments: readonly Segment[]): Promise<SegmentEnd> {
  const active = segments.at(-1)!
  if (active.size === 0) {
    await checkSealedEnd(opening, segments)
    return { nextOffset: active.baseOffset, maxTimestamp: -1, maxTimestampOffset: active.baseOffset }
  }
  const end = await endByIndex(opening, active)
  if (end !== undefined) return end
  await dropIndexes(opening, active)
  return await endByWalk(opening, active)
}

/**
 * After an unclean shutdown: the end of the active segment when that is the recovery point, so that there is nothing to
 * recover. Undefined when there is, or may be; also without a snapshot there, which comes last when a log is closed: its
 * index files may be of an earlier time.
 */
export async function endAtRecoveryPoint(opening: Opening, active: Segment): Promise<SegmentEnd | undefined> {
  const { recoveryPoint, snapshots } = opening
  if (active.size === 0 || recoveryPoint <= active.baseOffset) return undefined
  if (!snapshots.offsets.includes(recoveryPoint)) return undefined
  try {
    const end = await endByIndex(opening, active)
    return end?.nextOffset === recoveryPoint ? end : undefined
  } catch (error) {
    if (hasCode(error, 'PAGELOG_CORRUPT')) return undefined
    throw error
  }
}

/** Undefined when an index file is missing or does not lead to its batch. */
async function endByIndex(opening: Opening, segment: Segment): Promise<SegmentEnd | undefined> {
  const { files } = opening
  const { baseOffset: base, size } = segment
  const nameOf = (suffix: string): string => segmentFileName(base, suffix)
  const offsetsSize = files.sizeOf(nameOf('.index'))
  const position = lastPositionIn(files.tailOf(nameOf('.index')), offsetsSize, base)
  const time = lastTimeIn(files.tailOf(nameOf('.timeindex')), files.sizeOf(nameOf('.timeindex')), base)
  const isThere = files.has(nameOf('.index')) && files.has(nameOf('.timeindex'))
  const hasOffsets = position !== undefined || offsetsSize === 0
  const hasTimes = time !== undefined || files.sizeOf(nameOf('.timeindex')) === 0
  if (isThere && hasOffsets && hasTimes && (position?.position ?? 0) < size) {
    const end = { nextOffset: base, maxTimestamp: time?.timestamp ?? -1, maxTimestampOffset: time?.offset ?? base }
    const found = await walk(opening, segment, position, end)
    if (found !== undefined && found.maxTimestampOffset < found.nextOffset) return found
  }
  return undefined
}

/** They are built anew when the segment is loaded. */
async function dropIndexes(opening: Opening, segment: Segment): Promise<void> {
  const { disk, directory } = opening.context
  for (const suffix of ['.index', '.timeindex']) {
    await disk.unlink(`${directory}/${segmentFileName(segment.baseOffset, suffix)}`)
  }
}

async function endByWalk(opening: Opening, segment: Segment): Promise<SegmentEnd> {
  const { baseOffset: base } = segment
  const end = { nextOffset: base, maxTimestamp: -1, maxTimestampOffset: base }
  return (await walk(opening, segment, undefined, end))!
}

/** From the batch that `start` names on, or from the begin. Undefined when it names none. */
async function walk(
  opening: Opening,
  segment: Segment,
  start: LastPosition | undefined,
  known: SegmentEnd,
): Promise<SegmentEnd | undefined> {
  const { context, files } = opening
  const tail = files.tailOf(segmentFileName(segment.baseOffset, '.log'))
  const from = start?.position ?? 0
  const tailStart = segment.size - tail.length
  const opened = from >= tailStart ? undefined : await context.disk.open(segment.path, 'read')
  try {
    const source = opened ?? bytesSource(tail, tailStart)
    return await walkFrom({ opening, segment, source }, start, known)
  } finally {
    await opened?.close()
  }
}

async function walkFrom(
  walked: { opening: Opening; segment: Segment; source: BatchSource },
  start: LastPosition | undefined,
  known: SegmentEnd,
): Promise<SegmentEnd | undefined> {
  const { opening, segment, source } = walked
  const compactedEnd = compactedEndOf(opening.context.settings, opening.compactedEnd)
  const scanner = new BatchScanner(source, { from: start?.position ?? 0, to: segment.size, verify: false })
  let { nextOffset, maxTimestamp: largest, maxTimestampOffset } = known
  let isFirst = start !== undefined
  while (scanner.next() || (await scanner.more())) {
    const first = baseOffset(scanner.bytes, scanner.at)
    const last = lastOffset(scanner.bytes, scanner.at)
    if (isFirst && last !== start?.offset) return undefined
    const mayHaveGap = isFirst || first < compactedEnd
    const isInOrder = mayHaveGap ? first >= nextOffset : first === nextOffset
    if (!isInOrder || last < first) {
      const reason = `batch with offsets ${first} to ${last} where ${nextOffset} was expected`
      throw damaged(segment.path, scanner.position, nextOffset, reason)
    }
    const timestamp = maxTimestamp(scanner.bytes, scanner.at)
    if (timestamp > largest) {
      largest = timestamp
      maxTimestampOffset = last
    }
    nextOffset = last + 1
    isFirst = false
  }
  if (scanner.fault === undefined) return { nextOffset, maxTimestamp: largest, maxTimestampOffset }
  if (isFirst) return undefined
  throw damaged(segment.path, scanner.position, nextOffset, scanner.fault)
}

/** An empty active segment begins where the one before it ends, unless that one was compacted: it must not begin within. */
async function checkSealedEnd(opening: Opening, segments: readonly Segment[]): Promise<void> {
  const sealed = segments.at(-2)
  const active = segments.at(-1)!
  if (sealed === undefined || sealed.size === 0) return
  let endOffset = sealed.baseOffset
  const file = await opening.context.disk.open(sealed.path, 'read')
  try {
    const from = await floorPosition(opening.context, sealed, file, active.baseOffset)
    const scanner = new BatchScanner(file, { from, to: sealed.size, verify: false })
    while (scanner.next() || (await scanner.more())) endOffset = scanner.lastOffset + 1
  } finally {
    await file.close()
  }
  if (endOffset > active.baseOffset) {
    throw damaged(active.path, 0, active.baseOffset, `the segment before it ends at offset ${endOffset}`)
  }
}

/** `bytes`, which lie at `start` in a file. */
function bytesSource(bytes: Uint8Array, start: number): BatchSource {
  const tryRead = (into: Uint8Array, position: number): number => {
    const part = bytes.subarray(position - start, position - start + into.length)
    into.set(part)
    return part.length
  }
  return { tryRead, read: (into, position) => Promise.resolve(tryRead(into, position)) }
}
