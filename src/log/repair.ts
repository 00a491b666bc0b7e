/**
 * Repairs the files of a log that nobody has open, one that refuses to open included. What is beside the `.log` files is
 * built anew from them. Damaged batches are only touched when the caller says what to do with them:
 *
 *   truncate   the log ends before the first of them
 *   skip       they are cut out, what is good around them stays: offsets are missing there from then on
 *
 * With either, fields that no CRC covers (base offset, leader epoch) of batches that are good are set to what their place
 * in the log says. Segments are replaced as a whole (a synced copy renamed over the file), so that a crash leaves the old
 * one or the new.
 */
import type { Env } from '../env/index.ts'
import { baseOffset, leaderEpoch, setBaseOffset, setLeaderEpoch } from '../record/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import { EpochReplay } from './epoch-replay.ts'
import {
  CLEANED_SUFFIX,
  DAMAGED_FILE,
  LEADER_EPOCH_FILE,
  SEGMENT_SIDE_SUFFIXES,
  segmentFileName,
} from './file-names.ts'
import { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import { buildTransactionIndex, producersAt, replay } from './log-replay.ts'
import type { LogSettings } from './log-settings.ts'
import { viewOfFiles } from './log-views.ts'
import { encodeSnapshot, ProducerSnapshots } from './producer-snapshots.ts'
import { Segment, type SegmentContext } from './segment.ts'
import { finishSwaps } from './swap-files.ts'
import { type Damage, LogVerifier, type LogView, type SegmentView, type WrongField } from './verify.ts'
import type { LogProblem, VerifyReport } from './verify-report.ts'

export interface RepairOptions {
  /** What to do with damaged batches; without it they stay, and so does the report of them. */
  readonly damagedBatches?: 'truncate' | 'skip'
  /** Looked at until the first file is changed. Error: PAGELOG_ABORTED. */
  readonly signal?: AbortSignal
}

/** Bytes that are no longer in the log. */
export interface RemovedBytes {
  readonly path: string
  readonly position: number
  readonly bytes: number
  /** That was expected there. */
  readonly offset: number
}

export interface RepairReport {
  /** What was found. */
  readonly before: VerifyReport
  /** What is left: damaged batches, unless the options say what to do with them. */
  readonly remaining: readonly LogProblem[]
  readonly removed: readonly RemovedBytes[]
  /** Files that were built anew. */
  readonly rebuilt: readonly string[]
  /** Batches of which a field without CRC was set right. */
  readonly corrected: number
  readonly logEndOffset: number
}

export interface RepairedLog {
  readonly env: Pick<Env, 'disk' | 'clock'>
  readonly directory: string
  readonly settings: LogSettings
  /** As of `VerifiedLog`. */
  readonly compactedEnd?: number
}

const COPY_BYTES = 1024 * 1024
const BATCH_KINDS = new Set(['batch-crc', 'batch-structure', 'batch-cut-off'])

/** Errors: PAGELOG_STORAGE, PAGELOG_DISK_FULL, PAGELOG_ABORTED, PAGELOG_CORRUPT (a compaction left a damaged file). */
export async function repairLog(log: RepairedLog, options: RepairOptions = {}): Promise<RepairReport> {
  return await new LogRepair(log, options).run()
}

class LogRepair {
  readonly #log: RepairedLog
  readonly #context: SegmentContext
  readonly #options: RepairOptions
  readonly #removed: RemovedBytes[] = []
  readonly #rebuilt: string[] = []
  #corrected = 0

  constructor(log: RepairedLog, options: RepairOptions) {
    this.#log = log
    this.#options = options
    const { disk, clock } = log.env
    this.#context = { disk, clock, directory: log.directory, settings: log.settings }
  }

  async run(): Promise<RepairReport> {
    const { disk, directory } = this.#context
    await finishSwaps(disk, directory, await disk.list(directory))
    const { report: before, verifier } = await this.#verify(this.#options.signal)
    if (this.#options.damagedBatches !== undefined) await this.#repairBatches(verifier.damages)
    // By what the batches say now; a batch whose epoch alone is wrong does not move the checkpoint.
    let { report, view } = await this.#verify()
    if (report.problems.some(({ kind }) => kind === 'leader-epoch' || kind === 'leader-epoch-checkpoint')) {
      await this.#rebuildEpochs(view)
    }
    if (this.#options.damagedBatches !== undefined) await this.#correctFields()
    ;({ report, view } = await this.#verify())
    await this.#rebuildIndexes(view, report)
    await this.#rebuildSnapshots(view, report)
    await disk.syncDirectory(directory)
    const after = (await this.#verify()).report
    if (after.problems.length === 0) await disk.unlink(`${directory}/${DAMAGED_FILE}`)
    return {
      before,
      remaining: after.problems,
      removed: this.#removed,
      rebuilt: this.#rebuilt,
      corrected: this.#corrected,
      logEndOffset: after.logEndOffset,
    }
  }

  async #verify(signal?: AbortSignal): Promise<{ view: LogView; report: VerifyReport; verifier: LogVerifier }> {
    const { env, directory, settings, compactedEnd } = this.#log
    const view = await viewOfFiles(env.disk, directory, settings, compactedEnd)
    const verifier = new LogVerifier(view, signal === undefined ? {} : { signal })
    return { view, report: await verifier.run(), verifier }
  }

  async #repairBatches(damages: readonly Damage[]): Promise<void> {
    const first = damages[0]
    if (first === undefined) return
    if (this.#options.damagedBatches === 'truncate') return await this.#truncate(first)
    for (const [segment, ranges] of groupBySegment(damages)) await this.#cutOut(segment, ranges)
  }

  /** Everything from the first damage on goes, the last segments first, so that a crash leaves no hole. */
  async #truncate(first: Damage): Promise<void> {
    const { disk, directory } = this.#context
    const { segments } = await viewOfFiles(disk, directory, this.#log.settings)
    for (const segment of segments.filter(({ baseOffset: base }) => base > first.segment.baseOffset).reverse()) {
      this.#removed.push({ path: segment.path, position: 0, bytes: segment.size, offset: segment.baseOffset })
      for (const suffix of [...SEGMENT_SIDE_SUFFIXES, '.log']) await disk.unlink(this.#path(segment, suffix))
    }
    const { path, size } = first.segment
    this.#removed.push({ path, position: first.position, bytes: size - first.position, offset: first.offset })
    const file = await disk.open(path, 'write')
    try {
      await file.truncate(first.position)
      await file.dataSync()
    } finally {
      await file.close()
    }
    await this.#dropIndexes(first.segment)
    await disk.syncDirectory(directory)
  }

  /** Copies what is good of a segment; offsets are missing in it from then on, which the active one must not have. */
  async #cutOut(segment: SegmentView, ranges: readonly Damage[]): Promise<void> {
    const { disk, directory } = this.#context
    const good: { from: number; to: number }[] = []
    let from = 0
    for (const { position, end, offset } of ranges) {
      if (position > from) good.push({ from, to: position })
      from = end
      this.#removed.push({ path: segment.path, position, bytes: end - position, offset })
    }
    if (from < segment.size) good.push({ from, to: segment.size })
    await this.#dropIndexes(segment)
    await this.#copyRanges(segment.path, good)
    await disk.syncDirectory(directory)
    if (!segment.isActive || from >= segment.size) return
    await (await Segment.create(this.#context, await this.#endOffsetOf(segment))).unload()
    await disk.syncDirectory(directory)
  }

  /** Behind its last batch, by the headers: all of it is good. */
  async #endOffsetOf({ path, baseOffset: base }: SegmentView): Promise<number> {
    const file = await this.#context.disk.open(path, 'read')
    try {
      let endOffset = base
      const scanner = new BatchScanner(file, { from: 0, to: file.size, verify: false })
      while (scanner.next() || (await scanner.more())) endOffset = scanner.lastOffset + 1
      return endOffset
    } finally {
      await file.close()
    }
  }

  async #copyRanges(path: string, ranges: readonly { from: number; to: number }[]): Promise<void> {
    const { disk } = this.#context
    const source = await disk.open(path, 'read')
    const target = await disk.open(`${path}${CLEANED_SUFFIX}`, 'write')
    try {
      await target.truncate(0)
      const chunk = new Uint8Array(COPY_BYTES)
      let end = 0
      for (const { from, to } of ranges) {
        for (let at = from; at < to; ) {
          const count = await source.read(chunk.subarray(0, Math.min(chunk.length, to - at)), at)
          await target.write([chunk.slice(0, count)], end)
          at += count
          end += count
        }
      }
      await target.dataSync()
    } finally {
      await source.close()
      await target.close()
    }
    await disk.rename(`${path}${CLEANED_SUFFIX}`, path)
  }

  async #correctFields(): Promise<void> {
    const { verifier } = await this.#verify()
    for (const wrong of verifier.wrongFields) await this.#correct(wrong)
  }

  async #correct({ segment, position, field, value }: WrongField): Promise<void> {
    if (value < 0) return
    const file = await this.#context.disk.open(segment.path, 'write')
    try {
      const header = new Uint8Array(16)
      await file.read(header, position)
      if (field === 'baseOffset') setBaseOffset(header, 0, value)
      else setLeaderEpoch(header, 0, value)
      await file.write([header], position)
      await file.dataSync()
    } finally {
      await file.close()
    }
    this.#corrected++
  }

  async #rebuildEpochs(view: LogView): Promise<void> {
    const { disk, directory } = this.#context
    const path = `${directory}/${LEADER_EPOCH_FILE}`
    const { epochs } = LeaderEpochCheckpoint.of(disk, path, undefined)
    const found = new EpochReplay(epochs, true)
    await replay({ ...this.#rangeOf(view), from: 0, to: Number.MAX_SAFE_INTEGER }, (bytes, at) => {
      found.see(leaderEpoch(bytes, at), baseOffset(bytes, at))
    })
    found.end()
    await epochs.save()
    this.#rebuilt.push(path)
  }

  /** Also those of the active segment: it is not open, and the next open takes them for what they say. */
  async #rebuildIndexes(view: LogView, report: VerifyReport): Promise<void> {
    const snapshots = this.#snapshotsOf(view)
    const range = this.#rangeOf(view)
    for (const [index, segment] of range.segments.entries()) {
      const paths = SEGMENT_SIDE_SUFFIXES.map((suffix) => this.#path(segment, suffix))
      const isDamaged = report.problems.some(({ path }) => paths.includes(path))
      const hasDamage = report.problems.some(({ path, kind }) => path === segment.path && BATCH_KINDS.has(kind))
      const isMissing = view.segments[index]!.isActive && (await this.#lacksIndexes(view.segments[index]!))
      if (hasDamage || !(isDamaged || isMissing)) continue
      await segment.rebuildIndexes()
      const end = range.segments[index + 1]?.baseOffset ?? Number.MAX_SAFE_INTEGER
      segment.setTransactionIndex(await buildTransactionIndex(range, snapshots, segment, end), end)
      await segment.saveIndexes()
      await segment.sync()
      await segment.unload()
      this.#rebuilt.push(...paths)
    }
  }

  async #rebuildSnapshots(view: LogView, report: VerifyReport): Promise<void> {
    const damaged = report.problems.filter(({ kind }) => kind === 'producer-snapshot').map(({ offset }) => offset)
    if (damaged.length === 0) return
    const { disk, directory } = this.#context
    const good = view.snapshotOffsets.filter((offset) => !damaged.includes(offset))
    const snapshots = new ProducerSnapshots(disk, directory, good)
    for (const offset of new Set(damaged)) {
      const path = snapshots.pathOf(offset)
      await disk.unlink(path)
      if (offset > report.logEndOffset) continue
      const state = await producersAt(this.#rangeOf(view), snapshots, offset)
      await snapshots.take(offset, encodeSnapshot(state))
      this.#rebuilt.push(path)
    }
  }

  async #lacksIndexes(segment: SegmentView): Promise<boolean> {
    if (segment.size === 0) return false
    return (await segment.index('.index')) === undefined || (await segment.index('.timeindex')) === undefined
  }

  async #dropIndexes(segment: SegmentView): Promise<void> {
    for (const suffix of SEGMENT_SIDE_SUFFIXES) await this.#context.disk.unlink(this.#path(segment, suffix))
  }

  #rangeOf(view: LogView): { context: SegmentContext; segments: readonly Segment[] } {
    const segments = view.segments.map(({ baseOffset: base, size }, index) =>
      Segment.listed(this.#context, base, size, view.segments[index + 1]?.baseOffset ?? Number.MAX_SAFE_INTEGER),
    )
    return { context: this.#context, segments }
  }

  #snapshotsOf(view: LogView): ProducerSnapshots {
    return new ProducerSnapshots(this.#context.disk, this.#context.directory, view.snapshotOffsets)
  }

  #path(segment: { readonly baseOffset: number }, suffix: string): string {
    return `${this.#context.directory}/${segmentFileName(segment.baseOffset, suffix)}`
  }
}

function groupBySegment(damages: readonly Damage[]): Map<SegmentView, Damage[]> {
  const groups = new Map<SegmentView, Damage[]>()
  for (const damage of damages) groups.set(damage.segment, [...(groups.get(damage.segment) ?? []), damage])
  return groups
}
