/**
 * Recovery after an unclean shutdown (reliability L3, L4). From the recovery point on every batch is checked (structure,
 * CRC, rising offsets); before it only as many headers are read as lead there from the last index entry. Above the
 * recovery point the log is cut at the first batch that is not one, whatever follows, since the system writes pages back
 * in any order; the bytes dropped are reported. Below it nothing is ever cut: bytes that were synced and are damaged
 * throw PAGELOG_CORRUPT.
 *
 * Indexes, snapshots and epochs of what is walked are built anew. Offsets may be missing where a log was compacted: in
 * sealed segments, in the active one up to where compaction went, and anywhere with cleanup.policy=compact. No CRC covers the base offset of a batch, so one that leaves
 * a gap is only believed when the batch behind it goes on from there. Between two segments a gap is also what a power
 * loss leaves of an end that was not synced: it is believed only where compaction has been, as the checkpoints say.
 */
import { assert } from '../base/index.ts'
import { baseOffset, lastOffset, leaderEpoch, recordCount } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import { EpochReplay } from './epoch-replay.ts'
import { SEGMENT_SIDE_SUFFIXES, segmentFileName } from './file-names.ts'
import { checkedLogStart, damaged, type LoadedLog, type Opening, removeTrimmed } from './log-opening.ts'
import { producerBatchAt, replay } from './log-replay.ts'
import { compactedEndOf, isContradicted, OffsetOrder, orderOf } from './offset-order.ts'
import { encodeSnapshot } from './producer-snapshots.ts'
import type { ProducerState } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { Segments } from './segments.ts'

export class LogRecovery {
  readonly #opening: Opening
  readonly #segments: Segment[]
  readonly #epochReplay: EpochReplay
  /** Before it offsets may be missing in the active segment as well. */
  readonly #gapsEnd: number
  /** Behind a segment that ends before it the next may begin later. */
  readonly #compactedEnd: number
  #producers!: ProducerState
  /** Batches before it are in `#producers` already. */
  #producersEnd = 0
  #batchesScanned = 0
  #bytesDropped = 0
  #reason: string | undefined
  /** What is cut is the begin of a batch at the very end: as a write under way leaves it whose process was killed. */
  #isUnfinished = false
  /** Exclusive end of the batches met so far; the next must not begin before it. */
  #nextOffset = 0
  /** Offsets are missing inside a segment walked before: it was compacted, so they may be missing between two as well. */
  #hasGaps = false

  /** `segments` are those of the listing. */
  constructor(opening: Opening, segments: Segment[]) {
    this.#opening = opening
    this.#segments = segments
    this.#epochReplay = new EpochReplay(opening.epochs, opening.isNew)
    this.#gapsEnd = compactedEndOf(opening.context.settings, opening.compactedEnd)
    this.#compactedEnd = opening.compactedEnd ?? this.#gapsEnd
  }

  async run(): Promise<LoadedLog> {
    try {
      return await this.#run()
    } catch (error) {
      for (const segment of this.#segments) await segment.unload()
      throw error
    }
  }

  async #run(): Promise<LoadedLog> {
    const { recoveryPoint, snapshots, epochs } = this.#opening
    const segments = this.#segments
    const first = segments.findIndex((_, index) => (segments[index + 1]?.baseOffset ?? Infinity) > recoveryPoint)
    await this.#resume(first)
    const keptCount = await this.#walkAll(first)
    const later = segments.splice(keptCount)
    const active = segments.at(-1)!
    let epochsChanged = this.#epochReplay.end()
    if (this.#reason !== undefined) {
      await this.#cut(active, later)
      epochsChanged = epochs.truncate(this.#nextOffset) || epochsChanged
    }
    // Of a tail that was lost without a trace, as pages are written back in any order.
    epochsChanged = epochs.truncate(this.#nextOffset + 1) || epochsChanged
    await snapshots.removeBeyond(this.#nextOffset)
    await snapshots.removeStray((offset) => segments.some((segment) => segment.baseOffset === offset))
    assert(active.nextOffset === this.#nextOffset, 'the active segment ends the log')
    // Thousands of partitions recover together: each is loaded when it is used.
    await active.saveIndexes()
    await active.unload()
    const logStartOffset = checkedLogStart(this.#opening, this.#nextOffset)
    await removeTrimmed(segments, logStartOffset)
    epochsChanged = epochs.truncateStart(logStartOffset) || epochsChanged
    if (this.#opening.isNew || epochsChanged) await epochs.save()
    const counts = { batchesScanned: this.#batchesScanned, bytesDropped: this.#bytesDropped }
    const report = this.#reason === undefined ? counts : { ...counts, reason: this.#reason }
    const recovered = { segments: new Segments(segments), producers: this.#producers, snapshots, epochs }
    return { ...recovered, logStartOffset, report, isUntouched: false }
  }

  /**
   * Stands before the batches to look at: indexes, producers and epochs as those before leave them. A snapshot within the
   * segment is worth more than the last entry of its index, for then nothing before it has to be replayed.
   */
  async #resume(first: number): Promise<void> {
    const { context, snapshots, recoveryPoint, isNew } = this.#opening
    const segment = this.#segments[first]!
    const firstOffset = this.#segments[0]!.baseOffset
    let { offset, state } = await snapshots.loadLatest(recoveryPoint, firstOffset)
    const isWithin = offset >= segment.baseOffset
    const knowsAborted = await segment.resume(isWithin ? offset : recoveryPoint, isWithin)
    // Markers before the snapshot are not replayed: what they aborted has to be known already.
    if (offset > segment.nextOffset && !knowsAborted) {
      const earlier = await snapshots.loadLatest(segment.nextOffset, firstOffset)
      offset = earlier.offset
      state = earlier.state
    }
    this.#nextOffset = segment.nextOffset
    this.#producers = state
    this.#producersEnd = offset
    const from = isNew ? 0 : offset
    if (from >= segment.nextOffset) return
    await replay({ context, segments: this.#segments, from, to: segment.nextOffset }, (bytes, at, batch) => {
      if (isNew) this.#epochReplay.see(leaderEpoch(bytes, at), baseOffset(bytes, at))
      if (batch !== undefined && batch.lastOffset >= offset) state.replay(batch)
    })
    this.#producersEnd = Math.max(offset, segment.nextOffset)
  }

  /** How many of the segments stay; the last of them may still have to be cut at its `size`. */
  async #walkAll(first: number): Promise<number> {
    const { recoveryPoint, snapshots } = this.#opening
    let kept = first
    for (const [index, segment] of this.#segments.entries()) {
      if (index < first) continue
      const before = this.#segments[index - 1]
      if (index > first && this.#endsEarly(before!, segment)) break
      const isActive = index === this.#segments.length - 1
      kept++
      if (index > first) {
        // What is on disk may be of another time.
        await snapshots.take(segment.baseOffset, encodeSnapshot(this.#producers))
        segment.resetIndexes()
        segment.size = 0
        segment.nextOffset = segment.baseOffset
      }
      await this.#walk(segment, isActive)
      if (this.#reason !== undefined) break
      if (!isActive) {
        await segment.saveIndexes()
        await segment.unload()
      }
    }
    if (this.#reason === undefined && this.#nextOffset < recoveryPoint) {
      const last = this.#segments[kept - 1]!
      throw damaged(last.path, last.size, this.#nextOffset, 'the log ends before its recovery point')
    }
    return kept
  }

  /** The end of `before` was never written although `segment` was, or `segment` begins within `before`: a cut, too. */
  #endsEarly(before: Segment, segment: Segment): boolean {
    const { recoveryPoint, logStartOffset } = this.#opening
    const overlaps = segment.baseOffset < this.#nextOffset
    if (segment.baseOffset <= recoveryPoint) {
      if (!overlaps) return false
      throw damaged(segment.path, 0, this.#nextOffset, `the segment before it ends at offset ${this.#nextOffset}`)
    }
    // Of segments that were trimmed some may be back after a power loss, others not.
    const isTrimmed = segment.baseOffset <= logStartOffset
    const mayHaveGaps = this.#hasGaps || isTrimmed || segment.baseOffset <= this.#compactedEnd
    if (segment.baseOffset === this.#nextOffset || (mayHaveGaps && !overlaps)) return false
    if (this.#nextOffset < recoveryPoint) {
      throw damaged(before.path, before.size, this.#nextOffset, 'the segment lost its end')
    }
    this.#reason = `${before.path} ends at offset ${this.#nextOffset}, the next segment begins at ${segment.baseOffset}`
    return true
  }

  /**
   * Accepts the batches of a segment from where it stands: by their headers up to the recovery point, then with a check of
   * all. A bad one sets `#reason` and leaves the segment's `size` before it, or throws.
   */
  async #walk(segment: Segment, isActive: boolean): Promise<void> {
    const { recoveryPoint } = this.#opening
    const file = await segment.openFile()
    this.#nextOffset = Math.max(this.#nextOffset, segment.baseOffset)
    for (const verify of [false, true]) {
      if (!verify && this.#nextOffset >= recoveryPoint) continue
      const scanner = new BatchScanner(file, { from: segment.size, to: file.size, verify })
      const fault = (await this.#accept(segment, scanner, isActive)) ?? scanner.fault
      await scanner.abandon()
      if (fault === undefined) continue
      if (this.#nextOffset < recoveryPoint) throw damaged(segment.path, scanner.position, this.#nextOffset, fault)
      this.#reason = `${segment.path} at ${scanner.position}: ${fault}`
      this.#isUnfinished = isActive && scanner.fault !== undefined && scanner.faultKind === 'batch-cut-off'
      this.#bytesDropped = file.size - segment.size
    }
  }

  /** Why it ended before the scanner did, unless that is the recovery point, from which on a look at all of it is due. */
  async #accept(segment: Segment, scanner: BatchScanner, isActive: boolean): Promise<string | undefined> {
    const { recoveryPoint } = this.#opening
    while (scanner.next() || (await scanner.more())) {
      const { bytes, at } = scanner
      const first = baseOffset(bytes, at)
      const last = lastOffset(bytes, at)
      const mayHaveGaps = !isActive || first < this.#gapsEnd
      const order = orderOf(first, last, { nextOffset: this.#nextOffset, baseOffset: segment.baseOffset, mayHaveGaps })
      const isWrong =
        order === OffsetOrder.WRONG ||
        (order === OffsetOrder.GAP && isContradicted(last, await this.#followingOffset(segment, scanner)))
      if (isWrong) return `batch with offsets ${first} to ${last} where ${this.#nextOffset} was expected`
      if (first > this.#nextOffset || recordCount(bytes, at) !== last - first + 1) this.#hasGaps = true
      this.#epochReplay.see(leaderEpoch(bytes, at), first)
      const found = last < this.#producersEnd ? undefined : producerBatchAt(scanner)
      const producerBatch = found instanceof Promise ? await found : found // waits for markers only
      const completed = producerBatch && this.#producers.replay(producerBatch)
      segment.accept(bytes, at, scanner.size)
      if (completed?.isAborted) segment.acceptAborted(completed)
      this.#nextOffset = last + 1
      if (scanner.verifies) this.#batchesScanned++
      else if (this.#nextOffset >= recoveryPoint) return undefined
    }
    return undefined
  }

  /** Of the batch behind the one that a scanner stands on, or of the next segment. */
  async #followingOffset(segment: Segment, scanner: BatchScanner): Promise<number | undefined> {
    const next = this.#segments[this.#segments.indexOf(segment) + 1]
    return (await scanner.followingOffset()) ?? next?.baseOffset
  }

  /**
   * Cuts the log behind the last good batch and syncs the cut before anything is appended: bytes that were given up
   * must not come back behind new ones. Later segments go first and from the end, so that a crash leaves no hole.
   */
  async #cut(last: Segment, later: readonly Segment[]): Promise<void> {
    const { context, files, logger, snapshots } = this.#opening
    const { disk, directory } = context
    if (!this.#isUnfinished) await this.#opening.beforeCut?.()
    for (const segment of [...later].reverse()) {
      this.#bytesDropped += files.sizeOf(segmentFileName(segment.baseOffset, '.log'))
      await segment.remove()
    }
    if (!last.isLoaded) await last.load() // walked as a sealed one, it is the active one now
    if (last.file.size > last.size) await last.file.truncate(last.size)
    await last.file.dataSync()
    for (const suffix of SEGMENT_SIDE_SUFFIXES) {
      await disk.unlink(`${directory}/${segmentFileName(last.baseOffset, suffix)}`)
    }
    await snapshots.removeBeyond(this.#nextOffset)
    await disk.syncDirectory(directory)
    const fields = { directory, endOffset: this.#nextOffset, bytesDropped: this.#bytesDropped, reason: this.#reason }
    logger.warn(fields, 'log was cut in recovery')
  }
}
