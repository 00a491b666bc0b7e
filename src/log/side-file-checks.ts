/** The part of `verify` that compares indexes, transaction indexes and snapshots with the batches, in one walk. */
import type { BatchScanner } from './batch-scanner.ts'
import { SEGMENT_SIDE_SUFFIXES, segmentFileName } from './file-names.ts'
import { type MetBatch, OffsetIndexCheck, TimeIndexCheck } from './index-checks.ts'
import { producerBatchAt } from './log-replay.ts'
import { ProducerSnapshots } from './producer-snapshots.ts'
import { type ProducerEntry, ProducerState } from './producer-state.ts'
import { type TransactionEntry, TransactionIndex } from './transaction-index.ts'
import type { LogView, SegmentView } from './verify.ts'
import type { VerifyFindings } from './verify-report.ts'

export class SideFileChecks {
  readonly #view: LogView
  readonly #findings: VerifyFindings
  readonly #snapshots: ProducerSnapshots
  /** Of the snapshots that were not compared yet. */
  #snapshotsLeft: readonly number[]
  #producers = new ProducerState()
  #startOffset = 0
  /** Every batch of the log was met so far: what it says of producers is known. */
  #isWhole = true
  #isCompacted = false
  #offsetIndex: OffsetIndexCheck | undefined
  #timeIndex: TimeIndexCheck | undefined
  #aborted: TransactionEntry[] = []

  constructor(view: LogView, findings: VerifyFindings) {
    this.#view = view
    this.#findings = findings
    this.#snapshotsLeft = view.snapshotOffsets
    this.#snapshots = new ProducerSnapshots(view.disk, view.directory, view.snapshotOffsets)
    this.#isCompacted = view.compactedEnd > 0
    if (view.epochs === undefined) {
      findings.add('leader-epoch-checkpoint', `${view.directory}/leader-epoch-checkpoint`, 'it is missing or damaged')
    }
  }

  /** What happened before the log start is known by a snapshot only. */
  async begin(startOffset: number): Promise<void> {
    this.#startOffset = startOffset
    await this.#compareUpTo(startOffset)
    this.#producers = (await this.#snapshots.loadLatest(startOffset, startOffset)).state
  }

  /** A segment is not there, or not any more: what was in it is not known, as where a transaction began. */
  passedOver(): void {
    this.#isWhole = false
  }

  /** Bytes up to position `end` are damaged: what was in them is not known. */
  lost(end: number): void {
    this.#isWhole = false
    this.#offsetIndex?.lost(end)
    this.#timeIndex?.lost()
  }
  /** Compaction was at work: what it removed is not known. */
  compacted(): void {
    this.#isCompacted = true
  }

  async beginSegment(segment: SegmentView): Promise<void> {
    const { baseOffset } = segment
    const [offsetSuffix, timeSuffix] = SEGMENT_SIDE_SUFFIXES
    const offsets = await segment.index(offsetSuffix)
    const times = await segment.index(timeSuffix)
    const fileOf = (suffix: string, content: Uint8Array) => ({ path: this.#path(segment, suffix), content, baseOffset })
    this.#offsetIndex = offsets && new OffsetIndexCheck(fileOf(offsetSuffix, offsets), this.#findings)
    this.#timeIndex = times && new TimeIndexCheck(fileOf(timeSuffix, times), this.#findings)
    if (!segment.isActive && segment.isThere()) {
      if (offsets === undefined) this.#missing('offset-index', segment, offsetSuffix)
      if (times === undefined) this.#missing('time-index', segment, timeSuffix)
    }
    this.#aborted = []
  }

  /** The next batch; a promise when a snapshot is to be compared before it. */
  batch(batch: MetBatch): Promise<void> | undefined {
    this.#offsetIndex?.batch(batch)
    this.#timeIndex?.batch(batch)
    const due = this.#snapshotsLeft[0]
    return due !== undefined && due <= batch.first ? this.#compareUpTo(batch.first) : undefined
  }

  async producers(scanner: BatchScanner): Promise<void> {
    const found = producerBatchAt(scanner)
    const batch = found instanceof Promise ? await found : found
    const completed = batch && this.#producers.replay(batch)
    if (completed?.isAborted) this.#aborted.push(completed)
  }

  async endSegment(segment: SegmentView): Promise<void> {
    this.#offsetIndex?.end()
    this.#timeIndex?.end(!segment.isActive)
    const [, , suffix] = SEGMENT_SIDE_SUFFIXES
    const content = await segment.index(suffix)
    if (!segment.isThere() || (content === undefined && (segment.isActive || this.#aborted.length === 0))) return
    const path = this.#path(segment, suffix)
    const { indexBytesMax } = this.#view
    const index = content && TransactionIndex.load(indexBytesMax, content, segment.baseOffset, Number.MAX_SAFE_INTEGER)
    if (index === undefined) this.#findings.add('transaction-index', path, 'it is missing or damaged')
    else if (this.#isWhole && !this.#isCompacted && !isIndexOf(index, this.#aborted)) {
      this.#findings.add('transaction-index', path, `it does not hold the ${this.#aborted.length} aborted transactions`)
    }
  }

  async end(endOffset: number): Promise<void> {
    await this.#compareUpTo(endOffset)
    for (const offset of this.#snapshotsLeft) {
      this.#findings.add('producer-snapshot', this.#snapshots.pathOf(offset), 'it is of an offset beyond the log', {
        offset,
      })
    }
  }

  /** Compares the snapshots up to `offset`, before which all batches were met. */
  async #compareUpTo(offset: number): Promise<void> {
    const due = this.#snapshotsLeft.filter((one) => one <= offset)
    this.#snapshotsLeft = this.#snapshotsLeft.filter((one) => one > offset)
    for (const one of due) {
      const entries = await this.#snapshots.read(one)
      const path = this.#snapshots.pathOf(one)
      if (entries === undefined) {
        if (await this.#view.disk.status(path)) {
          this.#findings.add('producer-snapshot', path, 'its checksum or form is wrong', { offset: one })
        }
      } else if (this.#isWhole && one >= this.#startOffset && one === offset) this.#compare(path, one, entries)
    }
  }

  /** Producers may be missing: idle ones expire. But those that are there are as the batches left them. */
  #compare(path: string, offset: number, entries: readonly ProducerEntry[]): void {
    const known = new Map([...this.#producers.entries()].map((entry) => [entry.producerId, entry]))
    const newest = new Map(entries.map((entry) => [entry.producerId, entry]))
    for (const entry of newest.values()) {
      const expected = known.get(entry.producerId)
      if (expected === undefined || expected.lastOffset < this.#startOffset || this.#isCompacted) continue
      const isSame =
        entry.lastOffset === expected.lastOffset &&
        entry.lastSequence === expected.lastSequence &&
        entry.producerEpoch === expected.producerEpoch &&
        entry.transactionFirstOffset === expected.transactionFirstOffset
      if (isSame) continue
      const message = `producer ${entry.producerId} ends at offset ${entry.lastOffset}, in the log at ${expected.lastOffset}`
      this.#findings.add('producer-snapshot', path, message, { offset })
    }
  }

  #missing(kind: 'offset-index' | 'time-index', segment: SegmentView, suffix: string): void {
    this.#findings.add(kind, this.#path(segment, suffix), 'the index file is missing')
  }

  #path(segment: SegmentView, suffix: string): string {
    return `${this.#view.directory}/${segmentFileName(segment.baseOffset, suffix)}`
  }
}

function isIndexOf(index: TransactionIndex, expected: readonly TransactionEntry[]): boolean {
  if (index.count !== expected.length) return false
  return expected.every((entry, slot) => {
    const stored = index.entryAt(slot)
    return (
      stored.producerId === entry.producerId &&
      stored.firstOffset === entry.firstOffset &&
      stored.lastOffset === entry.lastOffset &&
      stored.lastStableOffset === entry.lastStableOffset
    )
  })
}
