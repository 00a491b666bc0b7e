/**
 * The two jobs of a compaction, which run in a worker thread with a disk of their own.
 *
 *   fillMap   reads the dirty part up to where the map is full: the newest offset of every key
 *   rewrite   copies a group of neighbouring segments into one, without what the map says is superseded
 *
 * Groups are rewritten in the order of their offsets, so that whatever goes from one has no older record left before it.
 */
import { hasCode, PagelogError } from '../../base/index.ts'
import type { File, JobEnv } from '../../env/index.ts'
import { Compression, compression, isControl, lastOffset, RecordCursor, recordCount } from '../../record/index.ts'
import { segmentFileName } from '../file-names.ts'
import { BatchRewriter, type RewriteCounts, type RewriteRules } from './batch-rewriter.ts'
import { type CleanedSegment, CleanedSegmentWriter, type CleanedSettings } from './cleaned-segment.ts'
import { CompressedBatches, type CompressionRules } from './compressed-batches.ts'
import { OffsetMap, type OffsetMapMemory, STAGED_MAX } from './offset-map.ts'
import { readFailure } from './read-failure.ts'
import { StoredBatches } from './stored-batches.ts'
import { Throttle } from './throttle.ts'
import { Transactions, type TransactionsState } from './transactions.ts'

/** A sealed segment, as a job has to know it. */
export interface SegmentRange {
  readonly baseOffset: number
  readonly size: number
}

/** What both jobs are given. */
export interface JobBasics {
  readonly directory: string
  readonly segments: readonly SegmentRange[]
  readonly map: OffsetMapMemory
  readonly transactions: TransactionsState
  /** Of the read buffer, and of the write buffer. */
  readonly bufferBytes: number
  readonly bytesPerSecond: number
  readonly compression: CompressionRules
}

export interface FillMapInput extends JobBasics {
  readonly firstDirtyOffset: number
  /** Exclusive; the base offset of a segment. */
  readonly endOffset: number
}

export interface FillMapOutput {
  /** Exclusive: the map knows everything from the first dirty offset up to here. */
  readonly endOffset: number
  /** For `OffsetMapMemory.baseOffset`. */
  readonly baseOffset: number
  readonly keys: number
  readonly recordsRead: number
  readonly bytesRead: number
}

export async function fillMap(input: FillMapInput, env: JobEnv): Promise<FillMapOutput> {
  const map = new OffsetMap(input.map)
  const compressed = new CompressedBatches(input.compression)
  const filler = new MapFiller(map, new Transactions(input.transactions), compressed, input)
  const throttle = new Throttle(env, input.bytesPerSecond)
  let buffer: Uint8Array = new Uint8Array(input.bufferBytes)
  let bytesRead = 0
  for (const segment of input.segments) {
    if (filler.isFull) break
    await withSegment(input, segment, env, async (file) => {
      const range = { from: 0, to: segment.size, firstOffset: segment.baseOffset }
      const batches = new StoredBatches(file, range, buffer, { env, throttle })
      while (!filler.isFull && (batches.next() || (await batches.more()))) {
        if (!compressed.isReady(batches.bytes, batches.at)) await compressed.load(batches.bytes, batches.at)
        filler.take(batches.bytes, batches.at, batches.size)
      }
      buffer = batches.bytes
      bytesRead += batches.bytesRead
    })
  }
  const endOffset = filler.isFull ? filler.nextOffset : input.endOffset
  return { endOffset, baseOffset: map.baseOffset, keys: map.count, recordsRead: filler.recordsRead, bytesRead }
}

class MapFiller {
  isFull = false
  /** Exclusive; everything before it was put. */
  nextOffset: number
  recordsRead = 0
  #isEmpty = true
  readonly #map: OffsetMap
  readonly #transactions: Transactions
  readonly #compressed: CompressedBatches
  readonly #firstDirtyOffset: number
  readonly #endOffset: number
  readonly #cursor = new RecordCursor()

  constructor(
    map: OffsetMap,
    transactions: Transactions,
    compressed: CompressedBatches,
    range: { firstDirtyOffset: number; endOffset: number },
  ) {
    this.#map = map
    this.#transactions = transactions
    this.#compressed = compressed
    this.#firstDirtyOffset = range.firstDirtyOffset
    this.#endOffset = range.endOffset
    this.nextOffset = range.firstDirtyOffset
  }

  take(bytes: Uint8Array, at: number, size: number): void {
    const last = lastOffset(bytes, at)
    if (last >= this.#endOffset)
      throw new PagelogError('PAGELOG_CORRUPT', 'segment runs past its end', { offset: last })
    if (isControl(bytes, at)) this.#transactions.isNeedless(bytes, at)
    else if (!this.#transactions.isAborted(bytes, at) && last >= this.#firstDirtyOffset) {
      const isPlain = compression(bytes, at) === Compression.NONE
      const plain = isPlain ? bytes : this.#compressed.open(bytes, at, size)
      // The keys in a batch that cannot be opened are not known: they hide nothing, and nothing hides them.
      if (plain === undefined) this.recordsRead += recordCount(bytes, at)
      else this.#putAll(plain, isPlain ? at : 0)
    }
    if (!this.isFull && last >= this.#firstDirtyOffset) this.nextOffset = last + 1
  }

  #putAll(bytes: Uint8Array, at: number): void {
    const cursor = this.#cursor
    const map = this.#map
    cursor.reset(bytes, at)
    while (cursor.next()) {
      const { offset, keyLength } = cursor
      if (offset < this.#firstDirtyOffset) continue
      if (this.#isEmpty) map.beginAt(offset)
      this.#isEmpty = false
      if (keyLength >= 0) {
        map.stage(bytes, cursor.keyStart, keyLength, offset)
        if (map.stagedCount < STAGED_MAX) continue
      }
      if (!this.#putStaged()) return
      if (keyLength < 0 && !this.#putKeyless(offset)) return
    }
    this.#putStaged()
  }

  /** False: the map is full. */
  #putStaged(): boolean {
    const map = this.#map
    const count = map.stagedCount
    const put = map.putStaged()
    this.recordsRead += put
    if (put === count) return true
    this.isFull = true
    this.nextOffset = map.stagedOffset(put)
    return false
  }

  #putKeyless(offset: number): boolean {
    if (this.#map.putKeyless(offset)) {
      this.recordsRead++
      return true
    }
    this.isFull = true
    this.nextOffset = offset
    return false
  }
}

export interface RewriteInput extends JobBasics {
  readonly rules: RewriteRules
  readonly settings: CleanedSettings
}

export interface RewriteOutput extends RewriteCounts {
  /** Undefined: nothing had to go, the segment stays as it is. */
  readonly cleaned: CleanedSegment | undefined
  readonly transactions: TransactionsState
  readonly bytesRead: number
  readonly bytesWritten: number
}

export async function rewrite(input: RewriteInput, env: JobEnv): Promise<RewriteOutput> {
  const throttle = new Throttle(env, input.bytesPerSecond)
  const transactions = new Transactions(input.transactions)
  const compressed = new CompressedBatches(input.compression)
  const rewriter = new BatchRewriter(new OffsetMap(input.map), transactions, input.rules, compressed)
  const given = { disk: env.disk, directory: input.directory, throttle }
  const writer = new CleanedSegmentWriter(given, input.segments[0]!.baseOffset, input.settings, input.bufferBytes)
  let buffer: Uint8Array = new Uint8Array(input.bufferBytes)
  let bytesRead = 0
  try {
    await writer.begin()
    for (const segment of input.segments) {
      await withSegment(input, segment, env, async (file) => {
        const range = { from: 0, to: segment.size, firstOffset: segment.baseOffset }
        const batches = new StoredBatches(file, range, buffer, { env, throttle })
        while (batches.next() || (await batches.more())) {
          if (!compressed.isReady(batches.bytes, batches.at)) await compressed.load(batches.bytes, batches.at)
          if (!rewriter.rewrite(batches.bytes, batches.at, batches.size)) continue
          const { bytes, at, size } = rewriter
          if (!writer.append(bytes, at, size)) await writer.appendSlowly(bytes, at, size)
        }
        buffer = batches.bytes
        bytesRead += batches.bytesRead
      })
    }
    const isUnchanged = input.segments.length === 1 && !rewriter.hasChanges
    if (isUnchanged) await writer.discard()
    const cleaned = isUnchanged ? undefined : await writer.finish(transactions.kept)
    const bytesWritten = isUnchanged ? 0 : writer.size
    return { ...rewriter.counts, cleaned, transactions: transactions.state, bytesRead, bytesWritten }
  } catch (error) {
    await writer.discard().catch(() => {}) // the next open removes what is left
    throw error
  }
}

async function withSegment(
  input: JobBasics,
  segment: SegmentRange,
  env: JobEnv,
  use: (file: File) => Promise<void>,
): Promise<void> {
  if (env.isAborted()) throw new PagelogError('PAGELOG_ABORTED', 'compaction was aborted')
  const path = `${input.directory}/${segmentFileName(segment.baseOffset, '.log')}`
  let file: File
  try {
    file = await env.disk.open(path, 'read')
  } catch (error) {
    if (hasCode(error, 'PAGELOG_NOT_FOUND')) {
      throw new PagelogError('PAGELOG_CORRUPT', 'segment is damaged: its file is gone', { path, cause: error })
    }
    throw readFailure(error)
  }
  try {
    await use(file)
  } finally {
    await file.close()
  }
}
