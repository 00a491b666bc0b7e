/**
 * Opens the files of a partition: walks its segments, rebuilds what memory needs (end offset, producer state, indexes
 * of the active segment) and, after an unclean shutdown, recovers.
 *
 * Recovery (reliability L3, L4): from the segment that holds the recovery point on, every batch is checked (structure,
 * CRC, rising offsets). Above the recovery point the log is cut at the first batch that is not one, whatever follows,
 * since the system writes pages back in any order; the bytes dropped are reported. Below it nothing is ever cut: bytes
 * that were synced and are damaged throw PAGELOG_CORRUPT.
 */
import { assert, type Logger, PagelogError } from '../base/index.ts'
import {
  baseOffset,
  baseSequence,
  isControl,
  lastOffset,
  lastOffsetDelta,
  leaderEpoch,
  maxTimestamp,
  producerEpoch,
  producerId,
  recordCount,
} from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import {
  baseOffsetOf,
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  LEADER_EPOCH_FILE,
  SWAP_SUFFIX,
  snapshotOffsetOf,
} from './file-names.ts'
import { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import { lastSequenceOf, ProducerState } from './producer-state.ts'
import { RELATIVE_OFFSET_MAX, Segment, type SegmentContext } from './segment.ts'
import { Segments } from './segments.ts'

export interface RecoveryReport {
  /** Batches whose CRC was checked. */
  readonly batchesScanned: number
  readonly bytesDropped: number
  /** Why the log was cut; undefined when it was not. */
  readonly reason?: string
}

export interface LoadOptions {
  readonly context: SegmentContext
  readonly logger: Logger
  readonly logStartOffset: number
  readonly recoveryPoint: number
  readonly cleanShutdown: boolean
}

export interface LoadedLog {
  readonly segments: Segments
  readonly producers: ProducerState
  readonly epochs: LeaderEpochCheckpoint
  readonly report: RecoveryReport
}

/** Errors: PAGELOG_CORRUPT (synced bytes are damaged), PAGELOG_UNSUPPORTED (a compaction of Kafka's was interrupted). */
export async function loadLog(options: LoadOptions): Promise<LoadedLog> {
  return await new LogLoader(options).load()
}

class LogLoader {
  readonly #options: LoadOptions
  readonly #context: SegmentContext
  readonly #producers = new ProducerState()
  #epochs!: LeaderEpochCheckpoint
  #epochsChanged = false
  #batchesScanned = 0
  #bytesDropped = 0
  #reason: string | undefined
  /** Exclusive end of the batches met so far; the next must not begin before it. */
  #nextOffset = 0
  /** Offsets are missing inside the segment walked last: it was compacted, so they may be missing at its end too. */
  #hasGaps = false

  constructor(options: LoadOptions) {
    this.#options = options
    this.#context = options.context
  }

  async load(): Promise<LoadedLog> {
    const { disk, directory } = this.#context
    const names = await disk.list(directory)
    await this.#tidy(names)
    const { epochs, isNew } = await LeaderEpochCheckpoint.open(disk, `${directory}/${LEADER_EPOCH_FILE}`)
    this.#epochs = epochs
    const found = names.map(baseOffsetOf).filter((offset) => offset !== undefined)
    const segments = found.map((offset) => new Segment(this.#context, offset))
    try {
      if (segments.length === 0) segments.push(await this.#begin(isNew))
      else await this.#recover(segments, names, isNew)
    } catch (error) {
      for (const segment of segments) await segment.unload()
      throw error
    }
    return this.#loaded(new Segments(segments))
  }

  /** Brings `segments` down to those that stay. */
  async #recover(segments: Segment[], names: readonly string[], isNew: boolean): Promise<void> {
    const keptCount = await this.#walkAll(segments)
    const later = segments.splice(keptCount)
    if (this.#reason !== undefined) await this.#cut(segments, later, names)
    // Of a tail that was lost without a trace, as pages are written back in any order.
    this.#epochsChanged = this.#epochs.truncate(this.#nextOffset + 1) || this.#epochsChanged
    if (isNew || this.#epochsChanged) await this.#epochs.save()
    assert(segments.at(-1)!.nextOffset === this.#nextOffset, 'the active segment ends the log')
  }

  /** A partition without a segment: a new one. The epoch is that which Kafka's tools expect to find. */
  async #begin(isNew: boolean): Promise<Segment> {
    const { logStartOffset, recoveryPoint } = this.#options
    this.#nextOffset = logStartOffset
    if (logStartOffset < recoveryPoint) {
      throw this.#corrupt(new Segment(this.#context, logStartOffset), 0, 'all of its segments are gone')
    }
    if (isNew) await this.#epochs.assign(0, logStartOffset)
    return await Segment.create(this.#context, logStartOffset)
  }

  #loaded(segments: Segments): LoadedLog {
    const report = { batchesScanned: this.#batchesScanned, bytesDropped: this.#bytesDropped }
    return {
      segments,
      producers: this.#producers,
      epochs: this.#epochs,
      report: this.#reason === undefined ? report : { ...report, reason: this.#reason },
    }
  }

  /** Files that were on their way out are removed. */
  async #tidy(names: readonly string[]): Promise<void> {
    const { disk, directory } = this.#context
    const swap = names.find((name) => name.endsWith(SWAP_SUFFIX))
    if (swap !== undefined) {
      const message = 'an interrupted compaction has to be completed by Kafka before this directory can be opened'
      throw new PagelogError('PAGELOG_UNSUPPORTED', message, { path: `${directory}/${swap}` })
    }
    for (const name of names) {
      if (name.endsWith(DELETED_SUFFIX) || name.endsWith(CLEANED_SUFFIX)) await disk.unlink(`${directory}/${name}`)
    }
  }

  /** How many of the segments stay; the last of them may still have to be cut at its `size`. */
  async #walkAll(segments: readonly Segment[]): Promise<number> {
    const { recoveryPoint, cleanShutdown } = this.#options
    let kept = 0
    this.#nextOffset = segments[0]!.baseOffset
    for (const [index, segment] of segments.entries()) {
      const before = segments[index - 1]
      if (before !== undefined && this.#endsEarly(before, segment)) break
      const next = segments[index + 1]
      const isActive = next === undefined
      // Bytes at or above the recovery point may be in it: they are only trusted after a look.
      const mustVerify = !cleanShutdown && (isActive || next.baseOffset > recoveryPoint)
      if (mustVerify || isActive) segment.resetIndexes()
      kept++
      await this.#walk(segment, mustVerify, isActive)
      if (this.#reason !== undefined) break
      if (!isActive) {
        if (mustVerify) await segment.saveIndexes()
        await segment.unload()
      }
    }
    if (this.#reason === undefined && this.#nextOffset < recoveryPoint) {
      const last = segments[kept - 1]!
      throw this.#corrupt(last, last.size, 'the log ends before its recovery point')
    }
    return kept
  }

  /**
   * After an unclean shutdown: the end of `before` was never written although `segment` was, or `segment` begins within
   * `before`. That is a cut, too.
   */
  #endsEarly(before: Segment, segment: Segment): boolean {
    const { cleanShutdown, recoveryPoint } = this.#options
    const overlaps = segment.baseOffset < this.#nextOffset
    if (cleanShutdown || segment.baseOffset <= recoveryPoint) {
      if (overlaps) throw this.#corrupt(segment, 0, `the segment before it ends at offset ${this.#nextOffset}`)
      return false
    }
    if (segment.baseOffset === this.#nextOffset || (this.#hasGaps && !overlaps)) return false
    if (this.#nextOffset < recoveryPoint) throw this.#corrupt(before, before.size, 'the segment lost its end')
    this.#reason = `${before.path} ends at offset ${this.#nextOffset}, the next segment begins at ${segment.baseOffset}`
    return true
  }

  /** Accepts the batches of a segment. A bad one sets `#reason` and leaves the segment's `size` before it, or throws. */
  async #walk(segment: Segment, mustVerify: boolean, isActive: boolean): Promise<void> {
    const file = await segment.openFile()
    const scanner = new BatchScanner(file, { from: 0, to: file.size, verify: mustVerify })
    this.#hasGaps = false
    this.#nextOffset = Math.max(this.#nextOffset, segment.baseOffset)
    let fault: string | undefined
    while (scanner.next() || (await scanner.more())) {
      const first = baseOffset(scanner.bytes, scanner.at)
      const last = lastOffset(scanner.bytes, scanner.at)
      // Compaction leaves gaps, but never touches the active segment.
      const isInOrder = isActive ? first === this.#nextOffset : first >= this.#nextOffset
      if (!isInOrder || last < first || last - segment.baseOffset > RELATIVE_OFFSET_MAX) {
        fault = `batch with offsets ${first} to ${last} where ${this.#nextOffset} was expected`
        break
      }
      if (first > this.#nextOffset || recordCount(scanner.bytes, scanner.at) !== last - first + 1) this.#hasGaps = true
      this.#replay(scanner.bytes, scanner.at)
      segment.accept(scanner.bytes, scanner.at, scanner.size)
      this.#nextOffset = last + 1
      if (mustVerify) this.#batchesScanned++
    }
    fault ??= scanner.fault
    if (fault === undefined) return
    const isSynced = this.#options.cleanShutdown || this.#nextOffset < this.#options.recoveryPoint || !mustVerify
    if (isSynced) throw this.#corrupt(segment, scanner.position, fault)
    this.#reason = `${segment.path} at ${scanner.position}: ${fault}`
    this.#bytesDropped = file.size - segment.size
  }

  /** What a batch says of its producer and its leader epoch. */
  #replay(bytes: Uint8Array, at: number): void {
    const epoch = leaderEpoch(bytes, at)
    const first = baseOffset(bytes, at)
    if (epoch > this.#epochs.latest) this.#epochsChanged = this.#epochs.replay(epoch, first) || this.#epochsChanged
    const id = producerId(bytes, at)
    if (id < 0) return
    const firstSequence = isControl(bytes, at) ? -1 : baseSequence(bytes, at)
    const delta = lastOffsetDelta(bytes, at)
    this.#producers.replay({
      producerId: id,
      producerEpoch: producerEpoch(bytes, at),
      firstSequence,
      lastSequence: lastSequenceOf(firstSequence, delta),
      baseOffset: first,
      lastOffset: first + delta,
      timestampMs: maxTimestamp(bytes, at),
    })
  }

  /**
   * Cuts the log behind the last good batch and syncs the cut before anything is appended: bytes that were given up
   * must not come back behind new ones. Later segments go first and from the end, so that a crash leaves no hole.
   */
  async #cut(kept: readonly Segment[], later: readonly Segment[], names: readonly string[]): Promise<void> {
    const { disk, directory } = this.#context
    for (const segment of [...later].reverse()) {
      const status = await disk.status(segment.path)
      this.#bytesDropped += status?.size ?? 0
      await segment.remove()
    }
    const last = kept.at(-1)!
    if (!last.isLoaded) await this.#reload(last)
    if (last.file.size > last.size) await last.file.truncate(last.size)
    await last.file.dataSync()
    for (const name of names) {
      const snapshotOffset = snapshotOffsetOf(name)
      if (snapshotOffset !== undefined && snapshotOffset > this.#nextOffset) await disk.unlink(`${directory}/${name}`)
    }
    await disk.syncDirectory(directory)
    this.#epochsChanged = this.#epochs.truncate(this.#nextOffset) || this.#epochsChanged
    const fields = { directory, endOffset: this.#nextOffset, bytesDropped: this.#bytesDropped, reason: this.#reason }
    this.#options.logger.warn(fields, 'log was cut in recovery')
  }

  /** A segment that was walked as a sealed one becomes the active one. */
  async #reload(segment: Segment): Promise<void> {
    await segment.openFile()
    await segment.rebuildIndexes()
  }

  #corrupt(segment: Segment, position: number, reason: string): PagelogError {
    const fields = { path: segment.path, position, offset: this.#nextOffset }
    return new PagelogError('PAGELOG_CORRUPT', `log is damaged below its recovery point: ${reason}`, fields)
  }
}
