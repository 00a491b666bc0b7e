/**
 * Compaction of one log (KIP-58, KIP-98, KIP-354, KIP-534): of records with the same key only the newest stays, with
 * its offset. The work is done by jobs that any thread can run; this thread plans, and swaps segments.
 *
 *   plan ─► fillMap: newest offset of each dirty key ─► for each group of segments: rewrite ─► swap ─► first dirty offset
 *
 * Until a group is swapped nothing of the log has changed; the first dirty offset moves only behind the last group. A
 * compaction that is aborted, or a crash, leaves groups done and groups not done: never a tombstone gone while an older
 * record of its key is there, since groups are done in the order of their offsets.
 */
import { hasCode, Mutex, PagelogError } from '../../base/index.ts'
import { type Env, inThreadWorkers, jobAt, type Workers } from '../../env/index.ts'
import { abortError } from '../abort.ts'
import type { Appender } from '../appender.ts'
import { channels, publish } from '../diagnostics.ts'
import type { Flusher } from '../flusher.ts'
import type { LogState } from '../log-state.ts'
import type { Segment } from '../segment.ts'
import { abortedEntries } from './aborted-entries.ts'
import type { RewriteRules } from './batch-rewriter.ts'
import type { CompactionLimits } from './cleaner-settings.ts'
import type { FillMapInput, FillMapOutput, JobBasics, RewriteInput, RewriteOutput } from './compaction-jobs.ts'
import { type CompactionPlan, groupSegments, mustSealActive, planCompaction } from './compaction-plan.ts'
import { type CompactionCounts, type CompactionReport, noCounts } from './compaction-report.ts'
import { levelsOf } from './compressed-batches.ts'
import { type HashSecret, secretOf } from './key-hash.ts'
import { allocateOffsetMap } from './offset-map.ts'
import { readFailure } from './read-failure.ts'
import { assertStillThere, dropCleaned, dropLeftovers, swapSegments } from './segment-swap.ts'

const FILL_MAP = jobAt(import.meta.url, './compaction-jobs', 'fillMap')
const REWRITE = jobAt(import.meta.url, './compaction-jobs', 'rewrite')

/** Where nobody chooses keys to make them collide. */
const NO_SECRET: HashSecret = [0x6b657973, 0x6f666c6f, 0x67732e2e, 0x70616765]

export interface CompactOptions {
  readonly signal?: AbortSignal
  /** Seals the active segment first, so that all that was appended takes part. True by default. */
  readonly seal?: boolean
}

export interface CompactorParts {
  readonly state: LogState
  readonly appender: Appender
  readonly flusher: Flusher
  readonly limits: CompactionLimits
  readonly env: Partial<Pick<Env, 'workers' | 'random'>>
}

export class Compactor {
  readonly #parts: CompactorParts
  readonly #state: LogState
  readonly #workers: Workers
  /** One compaction at a time, and none while `exclusive` runs. */
  readonly #turns = new Mutex()
  #running: AbortController | undefined
  /** Why the log cannot be compacted: damage was met. Until it is opened again. */
  #damage: PagelogError | undefined
  readonly #counts: CompactionCounts = noCounts()

  constructor(parts: CompactorParts) {
    this.#parts = parts
    this.#state = parts.state
    this.#workers = parts.env.workers ?? inThreadWorkers(parts.state.context)
    parts.state.onStop(() => this.#running?.abort(parts.state.refusal()))
  }

  /** Of all compactions since the log was opened, the running one included. */
  get counts(): Readonly<CompactionCounts> {
    return this.#counts
  }
  get isRunning(): boolean {
    return this.#running !== undefined
  }
  get damage(): PagelogError | undefined {
    return this.#damage
  }

  /** What could be compacted now. */
  plan(): Promise<CompactionPlan> {
    return planCompaction(this.#state)
  }

  /** Seals an active segment that holds something older than max.compaction.lag.ms. */
  async sealOverdue(): Promise<void> {
    if (mustSealActive(this.#state)) await this.#seal()
  }

  /** See `Log.compact`. */
  compact(options: CompactOptions = {}): Promise<CompactionReport> {
    return this.#turns.run(async () => {
      const { cleanupPolicy } = this.#state.context.settings
      const path = this.#state.context.directory
      if (!cleanupPolicy.includes('compact')) {
        throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'cleanup.policy of the log is not compact', { path })
      }
      const refusal = this.#state.refusal() ?? this.#damage
      if (refusal !== undefined) throw refusal
      const { signal } = options
      if (signal?.aborted) throw abortError(signal, 'compaction was aborted before it began')
      const controller = new AbortController()
      const abort = (): void => controller.abort(signal?.reason)
      signal?.addEventListener('abort', abort, { once: true })
      this.#running = controller
      try {
        return await this.#compact(options, controller.signal)
      } finally {
        this.#running = undefined
        signal?.removeEventListener('abort', abort)
      }
    })
  }

  /** Aborts a compaction that runs, and runs `work` while none does: it takes away what a compaction may be reading. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#running?.abort(new PagelogError('PAGELOG_ABORTED', 'the log changes its end, or closes'))
    return this.#turns.run(work)
  }

  async #compact(options: CompactOptions, signal: AbortSignal): Promise<CompactionReport> {
    const state = this.#state
    const { clock } = state.context
    const startedMs = clock.monotonicMs()
    const before = { ...this.#counts }
    if (options.seal !== false) await this.#seal()
    await this.#parts.flusher.flush(state.segments.active.baseOffset)
    let plan = await planCompaction(state)
    const { endOffset } = plan
    const sizeBefore = plan.cleanBytes + plan.dirtyBytes
    try {
      // Once for each filling of the map. What becomes dirty meanwhile is for the next compaction.
      while (plan.firstDirtyOffset < Math.min(endOffset, plan.endOffset)) {
        await this.#pass({ ...plan, endOffset: Math.min(endOffset, plan.endOffset) }, signal)
        plan = await reading(planCompaction(state))
      }
    } catch (error) {
      throw this.#failed(error, signal)
    }
    const { firstDirtyOffset } = state
    const durationMs = clock.monotonicMs() - startedMs
    const sizeAfter = sizeBelow(state, endOffset)
    return { ...difference(this.#counts, before), firstDirtyOffset, sizeBefore, sizeAfter, durationMs }
  }

  async #seal(): Promise<void> {
    const { state, appender } = this.#parts
    await state.structure.run(async () => {
      state.assertOpen()
      await appender.exclusive(() => appender.roll())
    })
  }

  /** Cleans what one filling of the map covers. */
  async #pass(plan: CompactionPlan, signal: AbortSignal): Promise<void> {
    const state = this.#state
    const { all } = state.segments
    const segments = all.filter((_, index) => (all[index + 1]?.baseOffset ?? Infinity) <= plan.endOffset)
    const aborted = await reading(abortedEntries(state, segments[0]!.baseOffset))
    const basics = this.#basics(plan, aborted)
    const dirty = segments.filter((_, index) => (segments[index + 1]?.baseOffset ?? Infinity) > plan.firstDirtyOffset)
    const filled = await this.#fillMap(basics, plan, dirty, signal)
    const rules: RewriteRules = {
      firstDirtyOffset: plan.firstDirtyOffset,
      mapEndOffset: filled.endOffset,
      nowMs: state.context.clock.nowMs(),
      deleteRetentionMs: state.context.settings.deleteRetentionMs,
      producers: producersOf(state),
      hasOpaque: false,
    }
    await dropLeftovers(state)
    // After a crash the recovery must not take a segment that lost its last records for one that lost its end.
    await state.persist.recoveryPoint(state.recoveryPoint)
    const covered = segments.filter((segment) => segment.baseOffset < filled.endOffset)
    const coveredEnd = segments[covered.length]?.baseOffset ?? plan.endOffset
    let job: Omit<JobBasics, 'segments'> & { rules: RewriteRules } = { ...basics, rules }
    job = { ...job, map: { ...basics.map, baseOffset: filled.baseOffset } }
    for (const planned of groupSegments(state, covered, coveredEnd)) {
      // Trimming and retention go on meanwhile, from the front.
      const group = planned.filter((segment) => !segment.isRetired)
      if (group.length === 0) continue
      const output = await this.#rewrite(group, job, signal)
      job = { ...job, transactions: output.transactions, rules: { ...rules, hasOpaque: output.hasOpaque } }
    }
    state.firstDirtyOffset = filled.endOffset
    await state.persist.firstDirty(filled.endOffset)
    this.#counts.passes++
  }

  #basics(plan: CompactionPlan, coming: JobBasics['transactions']['coming']): Omit<JobBasics, 'segments'> {
    const { limits, env } = this.#parts
    const map = allocateOffsetMap({
      baseOffset: plan.firstDirtyOffset,
      endOffset: plan.endOffset,
      bytesMax: limits.dedupeBufferBytes,
      loadFactor: limits.loadFactor,
      secret: env.random === undefined ? NO_SECRET : secretOf(env.random),
    })
    return {
      directory: this.#state.context.directory,
      map,
      transactions: { coming, aborted: [], committed: [] },
      bufferBytes: limits.ioBufferBytes,
      bytesPerSecond: limits.bytesPerSecond,
      compression: {
        decompressedBytesMax: limits.decompressedBytesMax,
        levels: levelsOf(this.#state.context.settings),
      },
    }
  }

  async #fillMap(
    basics: Omit<JobBasics, 'segments'>,
    plan: CompactionPlan,
    dirty: readonly Segment[],
    signal: AbortSignal,
  ): Promise<FillMapOutput> {
    const { firstDirtyOffset, endOffset } = plan
    const input: FillMapInput = { ...basics, segments: dirty.map(rangeOf), firstDirtyOffset, endOffset }
    const filled = await this.#run<FillMapInput, FillMapOutput>(FILL_MAP, input, dirty, signal)
    this.#counts.bytesMapped += filled.bytesRead
    this.#counts.recordsMapped += filled.recordsRead
    this.#counts.keys += filled.keys
    return filled
  }

  async #rewrite(
    group: readonly Segment[],
    job: Omit<RewriteInput, 'segments' | 'settings'>,
    signal: AbortSignal,
  ): Promise<RewriteOutput> {
    const state = this.#state
    const startedMs = state.context.clock.monotonicMs()
    const { segmentIndexBytes, indexIntervalBytes } = state.context.settings
    const settings = { segmentIndexBytes, indexIntervalBytes }
    const input: RewriteInput = { ...job, segments: group.map(rangeOf), settings }
    const output = await this.#run<RewriteInput, RewriteOutput>(REWRITE, input, group, signal)
    this.#add(output)
    const { cleaned } = output
    if (cleaned === undefined) return output
    await state.structure.run(async () => {
      try {
        state.assertOpen()
        if (signal.aborted) throw abortError(signal, 'compaction was aborted')
        assertStillThere(state, group)
      } catch (error) {
        await dropCleaned(state, cleaned.baseOffset)
        throw error
      }
      await swapSegments(state, group, cleaned)
    })
    publish(channels.compaction, () => ({
      directory: state.context.directory,
      segments: group.map((segment) => segment.baseOffset),
      bytesBefore: output.bytesRead,
      bytesAfter: output.bytesWritten,
      recordsBefore: output.recordsRead,
      recordsAfter: output.recordsKept,
      durationMs: state.context.clock.monotonicMs() - startedMs,
    }))
    return output
  }

  /** A job that fails because segments were removed under it was aborted, not damaged. */
  async #run<I, O>(job: typeof REWRITE, input: I, segments: readonly Segment[], signal: AbortSignal): Promise<O> {
    assertStillThere(this.#state, segments)
    try {
      return await this.#workers.run<I, O>(job, input, { signal })
    } catch (error) {
      assertStillThere(this.#state, segments)
      throw error
    }
  }

  #add(output: RewriteOutput): void {
    const counts = this.#counts
    counts.bytesRead += output.bytesRead
    counts.bytesWritten += output.bytesWritten
    counts.recordsRead += output.recordsRead
    counts.recordsKept += output.recordsKept
    counts.tombstonesDropped += output.tombstonesDropped
    counts.keylessDropped += output.keylessDropped
    counts.abortedDropped += output.abortedDropped
    counts.compressedBatches += output.compressedBatches
  }

  /** What a failure means for the log, and what the caller gets. */
  #failed(error: unknown, signal: AbortSignal): unknown {
    const state = this.#state
    if (hasCode(error, 'PAGELOG_CORRUPT')) {
      this.#damage = error
      const fields = { err: error, directory: state.context.directory, path: error.path, position: error.position }
      state.logger.error(fields, 'log is damaged and not compacted until it is opened again')
      return error
    }
    const refusal = state.refusal()
    if (hasCode(error, 'PAGELOG_STORAGE')) {
      // What a job could not write or sync (reliability L5). Bytes that cannot be read are damage, files that cannot be
      // opened to read are worth another attempt.
      if (!error.retriable) state.fail(error)
      return error.retriable && refusal !== undefined ? refusal : error
    }
    // Also what was just being opened says that the log is closed.
    const isEnded = hasCode(error, 'PAGELOG_ABORTED') || hasCode(error, 'PAGELOG_CLOSED')
    if (refusal !== undefined && isEnded) return refusal
    return signal.aborted ? abortError(signal, 'compaction was aborted') : error
  }
}

async function reading<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw readFailure(error)
  }
}

function rangeOf(segment: Segment): { baseOffset: number; size: number } {
  return { baseOffset: segment.baseOffset, size: segment.size }
}

/** Bytes of the segments that end at or before `endOffset`. */
function sizeBelow(state: LogState, endOffset: number): number {
  const { all } = state.segments
  let size = 0
  for (const [index, segment] of all.entries()) {
    if ((all[index + 1]?.baseOffset ?? Number.POSITIVE_INFINITY) <= endOffset) size += segment.size
  }
  return size
}

/** As `RewriteRules.producers` wants it. */
function producersOf(state: LogState): Float64Array {
  const fields: number[] = []
  for (const { producerId, lastOffset, producerEpoch } of state.producers.entries()) {
    fields.push(producerId, lastOffset, producerEpoch)
  }
  return Float64Array.from(fields)
}

function difference(after: CompactionCounts, before: CompactionCounts): CompactionCounts {
  const keys = Object.keys(after) as (keyof CompactionCounts)[]
  return Object.fromEntries(keys.map((key) => [key, after[key] - before[key]])) as unknown as CompactionCounts
}
