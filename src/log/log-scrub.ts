/**
 * Reads a log through for damage that nobody else would meet: bytes below the recovery point that have changed on the
 * device since they were written. Every batch is checked: structure, CRC, rising offsets. What is not in the page cache is
 * read from the device and not left there.
 *
 * Damage is believed only when it is met again while the log can neither be cut nor compacted.
 */
import { hasCode, PagelogError } from '../base/index.ts'
import type { File } from '../env/index.ts'
import { baseOffset, leaderEpoch } from '../record/index.ts'
import { BatchScanner, type BatchSource } from './batch-scanner.ts'
import type { LogState } from './log-state.ts'
import { compactedEndOf, isContradicted, OffsetOrder, orderOf } from './offset-order.ts'
import type { Segment } from './segment.ts'

export interface ScrubPace {
  /** Resolves when work of so many bytes more may be done, `read` of them read; false: nothing is done any more. */
  take(bytes: number, read?: number): Promise<boolean>
}

/** What opening a file costs, beside what is read of it. */
const OPEN_BYTES = 64 * 1024
/** The same of a batch: of the smallest a processor could check far fewer bytes in a second than a device gives. */
const BATCH_BYTES = 512
/** In one turn of the event loop: half a millisecond. */
const BATCHES_A_TURN = 1024
/** Of a segment whose end was cut meanwhile; the next pass looks at it again. */
const ATTEMPTS = 3

/** Where a batch was expected, and what is wrong with what is there. */
interface Suspicion {
  readonly position: number
  readonly offset: number
  readonly reason: string
}

/** Where a walk begins; a second look is taken at one batch. */
interface Walk {
  readonly from: number
  readonly offset: number
  readonly isSecond: boolean
}

/** Offsets from `from` to before `to` are of one epoch. */
interface EpochSpan {
  readonly entries: readonly unknown[]
  readonly from: number
  readonly to: number
  /** Undefined before the first one that is known. */
  readonly epoch: number | undefined
}

export class LogScrub {
  readonly #state: LogState
  #span: EpochSpan = { entries: [], from: 0, to: 0, epoch: undefined }
  #batches = 0

  constructor(state: LogState) {
    this.#state = state
  }

  /** The first damage, of what the log has now; undefined where there is none, or `pace` or the log came to an end. */
  async run(pace: ScrubPace): Promise<PagelogError | undefined> {
    try {
      this.#state.assertOpen()
      for (const segment of [...this.#state.segments.all]) {
        const damage = await this.#segment(segment, pace)
        if (damage !== undefined) return damage
      }
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_ABORTED') && this.#state.refusal() === undefined) throw error
    }
    return undefined
  }

  async #segment(segment: Segment, pace: ScrubPace): Promise<PagelogError | undefined> {
    const whole = { from: 0, offset: segment.baseOffset, isSecond: false }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { cuts } = this.#state
      const found = await this.#walk(segment, whole, pace)
      if (found === undefined) return undefined
      const damage = await this.#state.structure.run(() => this.#confirmed(segment, found, cuts))
      if (damage !== 'cut') return damage
    }
    return undefined
  }

  /** Nobody takes anything away meanwhile. */
  async #confirmed(segment: Segment, found: Suspicion, cuts: number): Promise<PagelogError | 'cut' | undefined> {
    if (this.#state.refusal() !== undefined || !this.#state.segments.all.includes(segment)) return undefined
    if (this.#state.cuts !== cuts) return 'cut'
    const again = await this.#walk(segment, { from: found.position, offset: found.offset, isSecond: true }, undefined)
    if (again === undefined) return undefined
    const { position, offset, reason } = again
    const message = `log is damaged: ${reason}`
    return new PagelogError('PAGELOG_CORRUPT', message, { path: segment.path, position, offset })
  }

  async #walk(segment: Segment, walk: Walk, pace: ScrubPace | undefined): Promise<Suspicion | undefined> {
    // What is appended later is not looked at: it was checked just now.
    const to = segment.size
    if (to <= walk.from) return undefined
    if (pace !== undefined) await paced(pace, OPEN_BYTES)
    const file = await this.#open(segment)
    if (file === undefined) return undefined
    const scanner = new BatchScanner(new ScrubSource(file, pace), { from: walk.from, to, verify: true })
    let offset = walk.offset
    try {
      while (scanner.next() || (await scanner.more())) {
        if (++this.#batches % BATCHES_A_TURN === 0 && pace !== undefined)
          await paced(pace, BATCHES_A_TURN * BATCH_BYTES)
        const { position } = scanner
        const wrong = this.#wrongField(segment, scanner, offset)
        const reason = wrong instanceof Promise ? await wrong : wrong // waits for gaps only
        if (reason !== undefined) return { position, offset, reason }
        offset = scanner.lastOffset + 1
        if (walk.isSecond) return undefined
      }
      return scanner.fault === undefined ? undefined : { position: scanner.position, offset, reason: scanner.fault }
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_STORAGE')) throw error
      return { position: scanner.position, offset, reason: `the device does not give it: ${error.message}` }
    } finally {
      await scanner.abandon()
      await file.close()
    }
  }

  /** What no CRC covers: where the batch lies, and the epoch that the log knows there. */
  #wrongField(
    segment: Segment,
    scanner: BatchScanner,
    expected: number,
  ): string | undefined | Promise<string | undefined> {
    const { segments, context, firstDirtyOffset } = this.#state
    const { bytes, at, lastOffset: last } = scanner
    const first = baseOffset(bytes, at)
    const epoch = leaderEpoch(bytes, at)
    const isActive = segment === segments.active
    const mayHaveGaps = !isActive || first < compactedEndOf(context.settings, firstDirtyOffset)
    const order = orderOf(first, last, { nextOffset: expected, baseOffset: segment.baseOffset, mayHaveGaps })
    if (order === OffsetOrder.WRONG || last >= segment.nextOffset) return offsetsFault(first, last, expected)
    const known = this.#epochAt(first)
    if (epoch >= 0 && known !== undefined && epoch !== known) return `leader epoch ${epoch} where ${known} was expected`
    if (order === OffsetOrder.RIGHT) return undefined
    const isWrong = (following: number | undefined): boolean => isContradicted(last, following)
    return scanner.followingOffset().then((next) => (isWrong(next) ? offsetsFault(first, last, expected) : undefined))
  }

  /** As the log knows it; undefined where it may have forgotten it, as of what lies before the log start. */
  #epochAt(offset: number): number | undefined {
    const { entries } = this.#state.epochs
    const { entries: seen, from, to } = this.#span
    if (entries !== seen || offset < from || offset >= to) {
      const index = entries.findLastIndex(({ startOffset }) => startOffset <= offset)
      const [at, next] = [entries[index], entries[index + 1]]
      const [begin, end] = [at?.startOffset ?? 0, next?.startOffset ?? Number.POSITIVE_INFINITY]
      this.#span = { entries, from: begin, to: end, epoch: at?.epoch }
    }
    return this.#span.epoch
  }

  /** By a handle of its own, so that no segment is opened, and others closed, for this. */
  async #open(segment: Segment): Promise<File | undefined> {
    try {
      return await this.#state.context.disk.open(segment.path, 'read')
    } catch (error) {
      // It has been removed since.
      if (hasCode(error, 'PAGELOG_NOT_FOUND')) return undefined
      throw error
    }
  }
}

function offsetsFault(first: number, last: number, expected: number): string {
  return `batch with offsets ${first} to ${last} where ${expected} was expected`
}

/** From the page cache where that has it; what it has not is dropped again, for nobody else has asked for it. */
class ScrubSource implements BatchSource {
  readonly #file: File
  readonly #pace: ScrubPace | undefined

  constructor(file: File, pace: ScrubPace | undefined) {
    this.#file = file
    this.#pace = pace
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    if (this.#pace !== undefined) await paced(this.#pace, into.length, into.length)
    const cached = this.#file.tryRead(into, position)
    if (cached >= 0) return cached
    const count = await this.#file.read(into, position)
    await this.#file.dropCache(position, count)
    return count
  }

  tryRead(): number {
    return -1
  }
}

async function paced(pace: ScrubPace, bytes: number, read = 0): Promise<void> {
  if (!(await pace.take(bytes, read))) throw new PagelogError('PAGELOG_ABORTED', 'scrubbing was ended')
}
