/**
 * The read side of a log: from an offset to a region of a segment file. Offset → segment (binary search) → floor entry
 * of the offset index (binary search) → headers of the few batches between that and the one wanted. Nothing of the
 * records is looked at. A reader that goes on where it stopped is served from a hint and searches nothing.
 */
import { PagelogError } from '../base/index.ts'
import type { File, FileRegion } from '../env/index.ts'
import { BATCH_HEADER_BYTES, baseOffset, batchSize, lastOffset, MAGIC_V2, magic } from '../record/index.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'

export interface Slice {
  /** To be sent or released, each exactly once. */
  readonly regions: FileRegion[]
  readonly byteLength: number
  /** The offset asked for; the first batch may begin before it. */
  readonly startOffset: number
}

/** Of one that nobody wants any more. */
export function releaseSlice({ regions }: Slice): void {
  for (const region of regions) region.release()
}

export interface SliceOptions {
  /** The first batch whole, even when it is larger than `maxBytes`. */
  readonly minOneBatch?: boolean
  /** Exclusive; nothing from there on: the batch that holds it is left out. */
  readonly endOffset?: number
}

interface Wanted {
  readonly offset: number
  readonly maxBytes: number
  readonly options: SliceOptions
}

/** Read at once in a search: index.interval.bytes' worth of small batches and the header behind them. */
const SCAN_BYTES = 4096 + BATCH_HEADER_BYTES
/** In one turn of the event loop; more are needed only where the index is sparse or gone. */
const READS_AT_ONCE_MAX = 32
/** Base offset and length. */
const SIZE_BYTES = 12
const HINTS = 8
/** The index entry a search began with is not that of its batch. */
const INDEX_DAMAGED = -2
/** The page cache does not hold it, or the platform cannot tell. */
const WOULD_WAIT = -1

export class SliceReader {
  readonly #state: LogState
  readonly #scratch = new Uint8Array(SCAN_BYTES)
  /** Where batches begin that readers are about to ask for: offset, segment, position. */
  readonly #hintOffsets = new Float64Array(HINTS).fill(-1)
  readonly #hintPositions = new Float64Array(HINTS)
  readonly #hintSegments: (Segment | undefined)[] = new Array(HINTS).fill(undefined)
  #nextHint = 0

  constructor(state: LogState) {
    this.#state = state
  }

  /** Requires logStartOffset ≤ offset < logEndOffset. Synchronous unless a segment has to be loaded or a device asked. */
  read(offset: number, maxBytes: number, options: SliceOptions): Slice | Promise<Slice> {
    const segment = this.#state.segments.find(offset)
    if (!segment.isLoaded) return this.#readSlowly(offset, maxBytes, options)
    segment.wasUsed = true
    const position = this.#positionOf(segment, offset)
    if (position < 0) return this.#readSlowly(offset, maxBytes, options)
    if (position >= segment.size) return this.#readNext(segment, offset, maxBytes, options)
    return this.#slice(segment, position, { offset, maxBytes, options }) ?? this.#readSlowly(offset, maxBytes, options)
  }

  /** Bytes between the batch that holds `offset` and the end; a lower bound, exact where a hint or the index knows. */
  availableBytes(offset: number): number {
    const { segments } = this.#state
    const segment = segments.find(offset)
    let bytes = 0
    for (let index = segments.count - 1; segments.all[index] !== segment; index--) bytes += segments.all[index]!.size
    if (offset >= segment.nextOffset) return bytes
    if (offset === segment.baseOffset) return bytes + segment.size
    const hinted = this.#hinted(segment, offset)
    if (hinted !== undefined) return bytes + segment.size - hinted
    const index = segment.offsetIndex
    const slot = index === undefined ? -1 : index.floorOfOffset(offset - 1) + 1
    if (index === undefined || slot >= index.count) return bytes + BATCH_HEADER_BYTES // at least one batch is there
    return bytes + segment.size - index.positionAt(slot)
  }

  /** The end of the log was cut: what was remembered of positions behind it is void. */
  forget(): void {
    this.#hintOffsets.fill(-1)
    this.#hintSegments.fill(undefined)
  }

  /** Position of the batch that holds `offset`, of the next one when none does; negative: it cannot be told at once. */
  #positionOf(segment: Segment, offset: number): number {
    if (offset === segment.baseOffset) return 0
    if (offset >= segment.nextOffset) return segment.size
    const hinted = this.#hinted(segment, offset)
    if (hinted !== undefined) return hinted
    const search = new Search(segment, offset)
    for (let reads = 0; !search.isOver; reads++) {
      if (reads === READS_AT_ONCE_MAX) return WOULD_WAIT
      const wanted = Math.min(SCAN_BYTES, segment.size - search.position)
      const chunk = wanted === SCAN_BYTES ? this.#scratch : this.#scratch.subarray(0, wanted)
      const count = segment.file.tryRead(chunk, search.position)
      if (count < BATCH_HEADER_BYTES) return WOULD_WAIT
      search.walk(chunk, count)
    }
    return search.result
  }

  /** The same through the pool: loads the segment, waits for the device, rebuilds an index that leads astray. */
  async #readSlowly(offset: number, maxBytes: number, options: SliceOptions): Promise<Slice> {
    const state = this.#state
    const segment = state.segments.find(offset)
    await state.pin(segment)
    try {
      let position = await this.#searchSlowly(segment, offset)
      if (position === INDEX_DAMAGED) {
        state.logger.warn({ path: segment.path, offset }, 'offset index is damaged: rebuilding it')
        await segment.rebuildIndexes()
        position = await this.#searchSlowly(segment, offset)
      }
      if (position < 0) throw this.#corrupt(segment, offset)
      if (position >= segment.size) return await this.#readNext(segment, offset, maxBytes, options)
      const header = new Uint8Array(SIZE_BYTES)
      await segment.file.read(header, position)
      const { endOffset = Number.POSITIVE_INFINITY } = options
      const limit = endOffset < segment.nextOffset ? await this.#searchSlowly(segment, endOffset) : segment.size
      if (limit < 0) throw this.#corrupt(segment, endOffset)
      const known = { firstSize: batchSize(header, 0), limit }
      return this.#slice(segment, position, { offset, maxBytes, options }, known) as Slice
    } finally {
      state.unpin(segment)
    }
  }

  async #searchSlowly(segment: Segment, offset: number): Promise<number> {
    if (offset === segment.baseOffset) return 0
    if (offset >= segment.nextOffset) return segment.size
    const search = new Search(segment, offset)
    const file: File = segment.file
    while (!search.isOver) {
      const chunk = new Uint8Array(Math.min(4 * SCAN_BYTES, segment.size - search.position))
      const count = await file.read(chunk, search.position)
      if (count < BATCH_HEADER_BYTES) throw this.#corrupt(segment, offset)
      search.walk(chunk, count)
    }
    return search.result
  }

  /** `segment` ends before the batch wanted: it is the first of the next one that has any (compaction may empty some). */
  #readNext(segment: Segment, offset: number, maxBytes: number, options: SliceOptions): Slice | Promise<Slice> {
    const { segments } = this.#state
    let next = segments.after(segment)
    while (next?.size === 0) next = segments.after(next)
    if (next === undefined) return { regions: [], byteLength: 0, startOffset: offset }
    const isLoaded = next.isLoaded
    const slice = isLoaded ? this.#slice(next, 0, { offset, maxBytes, options }) : undefined
    return slice ?? this.#readSlowly(next.baseOffset, maxBytes, options)
  }

  /**
   * From the batch at `position` up to `maxBytes`, to the end of a batch where the index knows one. Undefined when the
   * size of the first batch or the position of the end is needed, not given and not to be had at once.
   */
  #slice(
    segment: Segment,
    position: number,
    wanted: Wanted,
    known: { firstSize?: number; limit?: number } = {},
  ): Slice | undefined {
    const { offset, maxBytes, options } = wanted
    const limit = known.limit ?? this.#limitOf(segment, options)
    if (limit < 0) return undefined
    let end = position + maxBytes
    if (end >= limit) {
      end = limit
      this.#hint(segment, limit === segment.size ? segment.nextOffset : options.endOffset!, end)
    } else {
      const index = segment.offsetIndex!
      const slot = index.floorOfPosition(end)
      const boundary = slot < 0 ? 0 : index.positionAt(slot)
      if (boundary > position) {
        end = boundary
        if (segment.file.tryRead(this.#scratch.subarray(0, SIZE_BYTES), end) === SIZE_BYTES) {
          this.#hint(segment, baseOffset(this.#scratch, 0), end)
        }
      } else if (options.minOneBatch) {
        const size = known.firstSize ?? this.#sizeAt(segment, position)
        if (size === undefined) return undefined
        end = Math.min(limit, Math.max(end, position + size))
      }
    }
    const byteLength = end - position
    if (byteLength <= 0) return { regions: [], byteLength: 0, startOffset: offset }
    return { regions: [segment.file.region(position, byteLength)], byteLength, startOffset: offset }
  }

  /** Where a slice of `segment` ends at the latest; negative as in `#positionOf`. */
  #limitOf(segment: Segment, { endOffset }: SliceOptions): number {
    const isInside = endOffset !== undefined && endOffset < segment.nextOffset
    return isInside ? this.#positionOf(segment, endOffset) : segment.size
  }

  #sizeAt(segment: Segment, position: number): number | undefined {
    const header = this.#scratch.subarray(0, SIZE_BYTES)
    return segment.file.tryRead(header, position) === SIZE_BYTES ? batchSize(header, 0) : undefined
  }

  #hinted(segment: Segment, offset: number): number | undefined {
    for (let slot = 0; slot < HINTS; slot++) {
      if (this.#hintOffsets[slot] === offset && this.#hintSegments[slot] === segment) return this.#hintPositions[slot]
    }
    return undefined
  }

  #hint(segment: Segment, offset: number, position: number): void {
    if (this.#hinted(segment, offset) !== undefined) return
    const slot = this.#nextHint
    this.#hintOffsets[slot] = offset
    this.#hintPositions[slot] = position
    this.#hintSegments[slot] = segment
    this.#nextHint = (slot + 1) % HINTS
  }

  #corrupt(segment: Segment, offset: number): PagelogError {
    return new PagelogError('PAGELOG_CORRUPT', 'segment is damaged: no batch where one begins', {
      path: segment.path,
      offset,
    })
  }
}

/** The walk over batch headers from an index entry to the batch that holds an offset. */
class Search {
  /** Of the next batch to look at. */
  position: number
  isOver = false
  result = 0
  readonly #segment: Segment
  readonly #offset: number
  /** The last offset that the first batch must have, by the index; -1 without an entry. */
  #expected: number

  constructor(segment: Segment, offset: number) {
    this.#segment = segment
    this.#offset = offset
    const index = segment.offsetIndex!
    const slot = index.floorOfOffset(offset)
    this.position = slot < 0 ? 0 : index.positionAt(slot)
    this.#expected = slot < 0 ? -1 : index.offsetAt(slot)
    if (this.position < 0 || this.position >= segment.size) this.#end(INDEX_DAMAGED)
  }

  /** Looks at the batches in `chunk`, whose first `count` bytes begin at `position`. */
  walk(chunk: Uint8Array, count: number): void {
    const start = this.position
    while (!this.isOver && this.position - start + BATCH_HEADER_BYTES <= count) this.#step(chunk, this.position - start)
  }

  #step(chunk: Uint8Array, at: number): void {
    const size = batchSize(chunk, at)
    const last = lastOffset(chunk, at)
    const isBatch = size >= BATCH_HEADER_BYTES && magic(chunk, at) === MAGIC_V2
    const isExpected = this.#expected === -1 || last === this.#expected
    this.#expected = -1
    const behind = this.position + size
    if (!isBatch || !isExpected) this.#end(INDEX_DAMAGED)
    else if (last >= this.#offset) this.#end(this.position)
    else if (behind + BATCH_HEADER_BYTES > this.#segment.size) this.#end(this.#segment.size)
    else this.position = behind
  }

  #end(result: number): void {
    this.isOver = true
    this.result = result
  }
}
