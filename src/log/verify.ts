/**
 * Looks at every byte of a log: batches (structure, CRC, offsets, records, leader epochs) and everything beside them
 * (indexes, transaction indexes, snapshots, epochs) by what the batches say. Nothing is changed. It goes on behind
 * damage: the next good batch is searched for.
 *
 * What a single flipped bit can hide from: nothing in bytes that the CRC covers (attributes to the end of the batch). Of
 * the 21 bytes before, CRC, version and length cannot change without the batch being none; the base offset must go on
 * from the batch before and, where offsets may be missing (compacted logs), lie below the batch behind; the leader epoch
 * must be that of the checkpoint. In a compacted log a base offset that was damaged into a gap beside it stays unseen.
 *
 * A turn of the event loop looks at a chunk of 256 KiB. On an open log it looks at what was there when it began, while
 * appends go on; segments that go meanwhile are left out.
 */
import { hasCode } from '../base/index.ts'
import type { Disk, File } from '../env/index.ts'
import {
  baseOffset,
  checkBatch,
  compression,
  isControl,
  lastOffset,
  leaderEpoch,
  maxTimestamp,
  RecordBatch,
  recordCount,
} from '../record/index.ts'
import { abortError } from './abort.ts'
import { BatchScanner } from './batch-scanner.ts'
import { findBatch } from './batch-search.ts'
import type { EpochStart } from './leader-epoch-checkpoint.ts'
import { isContradicted, OffsetOrder, orderOf } from './offset-order.ts'
import { SideFileChecks } from './side-file-checks.ts'
import { VerifyFindings, type VerifyProgress, type VerifyReport } from './verify-report.ts'

export interface VerifyOptions {
  /** Error: PAGELOG_ABORTED. */
  readonly signal?: AbortSignal
  /** Called every few megabytes. */
  readonly onProgress?: (progress: VerifyProgress) => void
}

/** A segment as it is looked at. */
export interface SegmentView {
  readonly baseOffset: number
  readonly path: string
  readonly size: number
  readonly isActive: boolean
  /** Whether the log still has it: one that went while it was looked at is no problem. */
  readonly isThere: () => boolean
  /** Content of an index file; undefined when there is none, or none is due yet. */
  readonly index: (suffix: string) => Promise<Uint8Array | undefined>
}

export interface LogView {
  readonly disk: Disk
  readonly directory: string
  /** Exclusive; before it offsets may be missing anywhere, see `compactedEndOf`. */
  readonly compactedEnd: number
  readonly indexBytesMax: number
  readonly segments: readonly SegmentView[]
  /** Undefined: their file is missing or damaged. */
  readonly epochs: readonly EpochStart[] | undefined
  /** Of the snapshots. */
  readonly snapshotOffsets: readonly number[]
}

/** Bytes that are no batch. */
export interface Damage {
  readonly segment: SegmentView
  readonly position: number
  /** Exclusive. */
  readonly end: number
  /** That was expected there. */
  readonly offset: number
}

/** A field of a good batch that no CRC covers and that has another value than it must. */
export interface WrongField {
  readonly segment: SegmentView
  readonly position: number
  readonly field: 'baseOffset' | 'leaderEpoch'
  readonly value: number
}

const PROGRESS_BYTES = 4 * 1024 * 1024

export class LogVerifier {
  readonly damages: Damage[] = []
  readonly wrongFields: WrongField[] = []
  readonly #view: LogView
  readonly #options: VerifyOptions
  readonly #findings = new VerifyFindings()
  readonly #sides: SideFileChecks
  readonly #bytesTotal: number
  #nextProgress = PROGRESS_BYTES
  /** Exclusive end of the batches met so far. */
  #nextOffset = 0
  /** The epoch of the batches that were last said to have a wrong one. */
  #wrongEpoch = -2
  #newestEpoch = -1

  constructor(view: LogView, options: VerifyOptions = {}) {
    this.#view = view
    this.#options = options
    this.#sides = new SideFileChecks(view, this.#findings)
    this.#bytesTotal = view.segments.reduce((sum, segment) => sum + segment.size, 0)
  }

  /** Errors: PAGELOG_ABORTED, PAGELOG_STORAGE. */
  async run(): Promise<VerifyReport> {
    const { segments, directory } = this.#view
    await this.#sides.begin(segments[0]?.baseOffset ?? 0)
    for (const [index, segment] of segments.entries()) await this.#segment(segment, segments[index + 1])
    await this.#sides.end(this.#nextOffset)
    this.#findings.logEndOffset = this.#nextOffset
    return this.#findings.reportOf(directory, this.#bytesTotal)
  }

  async #segment(segment: SegmentView, next: SegmentView | undefined): Promise<void> {
    if (segment.baseOffset < this.#nextOffset) {
      const message = `the segment before it ends at offset ${this.#nextOffset}`
      this.#findings.add('segment-order', segment.path, message, { position: 0, offset: this.#nextOffset })
    }
    this.#nextOffset = segment.baseOffset
    const file = await this.#open(segment)
    if (file === undefined) return this.#sides.passedOver()
    try {
      await this.#sides.beginSegment(segment)
      await this.#walk(segment, file, next)
      await this.#sides.endSegment(segment)
    } finally {
      await file.close()
    }
    this.#findings.segments++
    this.#progress(true)
  }

  async #open(segment: SegmentView): Promise<File | undefined> {
    try {
      return await this.#view.disk.open(segment.path, 'read')
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_NOT_FOUND')) throw error
      if (segment.isThere()) this.#findings.add('file-missing', segment.path, 'the file of a segment is missing')
      return undefined
    }
  }

  async #walk(segment: SegmentView, file: File, next: SegmentView | undefined): Promise<void> {
    for (let from = 0; from < segment.size; ) {
      const scanner = new BatchScanner(file, { from, to: segment.size, verify: true })
      try {
        while (scanner.next() || (await scanner.more())) {
          this.#checkAborted()
          await this.#batch(segment, scanner, next)
        }
      } finally {
        await scanner.abandon()
      }
      if (scanner.fault === undefined) return
      if (!segment.isThere()) return
      from = await this.#damage(segment, file, scanner)
    }
  }

  /** Where to go on behind a batch that is none. */
  async #damage(segment: SegmentView, file: File, scanner: BatchScanner): Promise<number> {
    const { position, fault, faultKind } = scanner
    const offset = this.#nextOffset
    const search = { file, from: position + 1, to: segment.size, expectedOffset: offset }
    const end = (await findBatch(search)) ?? segment.size
    this.#findings.add(faultKind, segment.path, fault!, { position, offset, bytes: end - position })
    this.damages.push({ segment, position, end, offset })
    this.#findings.bytes += end - position
    this.#sides.lost(end)
    return end
  }

  async #batch(segment: SegmentView, scanner: BatchScanner, next: SegmentView | undefined): Promise<void> {
    const { bytes, at, position, size } = scanner
    const claimed = baseOffset(bytes, at)
    const span = lastOffset(bytes, at) - claimed + 1
    const expected = this.#nextOffset
    const isRight = await this.#isInOrder(segment, scanner, next)
    const first = isRight ? claimed : expected
    if (!isRight) {
      const message = `batch with offsets ${claimed} to ${claimed + span - 1} where ${expected} was expected`
      this.#findings.add('offset-order', segment.path, message, { position, offset: expected })
      this.wrongFields.push({ segment, position, field: 'baseOffset', value: expected })
    }
    this.#epoch(segment, leaderEpoch(bytes, at), first, position)
    if (recordCount(bytes, at) !== span || first > expected) this.#sides.compacted()
    const found = this.#sides.batch({ position, first, last: first + span - 1, maxTimestamp: maxTimestamp(bytes, at) })
    if (found !== undefined) await found
    // Last: the records of a large batch are read apart, and what `bytes` holds stays.
    const fault = recordsFault(await scanner.body())
    if (fault !== undefined) this.#findings.add('batch-records', segment.path, fault, { position, offset: first })
    await this.#sides.producers(scanner)
    this.#nextOffset = first + span
    this.#findings.batches++
    this.#findings.records += recordCount(bytes, at)
    this.#findings.bytes += size
    this.#progress(false)
  }

  /** Whether the offsets of a batch are those of its place. */
  async #isInOrder(segment: SegmentView, scanner: BatchScanner, next: SegmentView | undefined): Promise<boolean> {
    const first = baseOffset(scanner.bytes, scanner.at)
    const last = lastOffset(scanner.bytes, scanner.at)
    const mayHaveGaps = !segment.isActive || first < this.#view.compactedEnd
    const place = { nextOffset: this.#nextOffset, baseOffset: segment.baseOffset, mayHaveGaps }
    const order = orderOf(first, last, place)
    if (order !== OffsetOrder.GAP) return order === OffsetOrder.RIGHT
    return !isContradicted(last, (await scanner.followingOffset()) ?? next?.baseOffset)
  }

  #epoch(segment: SegmentView, epoch: number, offset: number, position: number): void {
    const { epochs } = this.#view
    // Batches before the log start are in the first segment still, but their epochs may be forgotten.
    const isKnown = epochs !== undefined && !(epochs.length > 0 && offset < epochs[0]!.startOffset)
    const expected = epochs?.findLast((entry) => entry.startOffset <= offset)?.epoch ?? -1
    const isRight = isKnown ? epoch === expected : epoch >= this.#newestEpoch
    this.#newestEpoch = Math.max(this.#newestEpoch, isRight ? epoch : -1)
    if (isRight) this.#wrongEpoch = -2
    if (isRight || epoch < 0) return
    const value = isKnown ? expected : this.#newestEpoch
    this.wrongFields.push({ segment, position, field: 'leaderEpoch', value })
    if (this.#wrongEpoch === epoch) return // said already, of the batch before
    this.#wrongEpoch = epoch
    const message = `leader epoch ${epoch} where ${value} was expected`
    this.#findings.add('leader-epoch', segment.path, message, { position, offset })
  }

  #progress(isDue: boolean): void {
    if (this.#options.onProgress === undefined || (!isDue && this.#findings.bytes < this.#nextProgress)) return
    this.#nextProgress = this.#findings.bytes + PROGRESS_BYTES
    const { segments, batches, records, bytes } = this.#findings
    this.#options.onProgress({ segments, batches, records, bytes, bytesTotal: this.#bytesTotal })
  }

  #checkAborted(): void {
    const { signal } = this.#options
    if (signal?.aborted) throw abortError(signal, 'verification was aborted')
  }
}

/** Why the records are not those of their batch; undefined when they are, or are compressed: then the CRC has to do. */
function recordsFault(bytes: Uint8Array): string | undefined {
  if (compression(bytes, 0) !== 0 || isControl(bytes, 0)) return undefined
  const count = recordCount(bytes, 0)
  const span = lastOffset(bytes, 0) - baseOffset(bytes, 0) + 1
  if (count === span) return checkBatch(bytes, 0, bytes.length) < 0 ? 'records do not fill their batch' : undefined
  return sparseRecordsFault(new RecordBatch(bytes, 0))
}

/** The same of a batch from which compaction took records. */
function sparseRecordsFault(batch: RecordBatch): string | undefined {
  const cursor = batch.cursor()
  let before = batch.baseOffset - 1
  try {
    while (cursor.next()) {
      if (cursor.offset <= before || cursor.offset > batch.lastOffset) return `record with offset ${cursor.offset}`
      before = cursor.offset
    }
  } catch (error) {
    if (hasCode(error, 'PAGELOG_CORRUPT')) return error.message
    throw error
  }
  return undefined
}
