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
  /** Resolves when so many bytes more may be read; false: nothing is read any more. */
  take(bytes: number): Promise<boolean>
}

/** What opening a file costs, beside what is read of it. */
const OPEN_BYTES = 64 * 1024
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

export class LogScrub {
  readonly #state: LogState

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
    const { segments, epochs, context, firstDirtyOffset } = this.#state
    const { bytes, at, lastOffset: last } = scanner
    const first = baseOffset(bytes, at)
    const epoch = leaderEpoch(bytes, at)
    const isActive = segment === segments.active
    const mayHaveGaps = !isActive || first < compactedEndOf(context.settings, firstDirtyOffset)
    const order = orderOf(first, last, { nextOffset: expected, baseOffset: segment.baseOffset, mayHaveGaps })
    if (order === OffsetOrder.WRONG || last >= segment.nextOffset) return offsetsFault(first, last, expected)
    // Of what lies before the log start epochs may be forgotten.
    const isForgotten = epoch < 0 || first < (epochs.entries[0]?.startOffset ?? Number.POSITIVE_INFINITY)
    if (!isForgotten && epoch !== epochs.epochAt(first)) {
      return `leader epoch ${epoch} where ${epochs.epochAt(first)} was expected`
    }
    if (order === OffsetOrder.RIGHT) return undefined
    const isWrong = (following: number | undefined): boolean => isContradicted(last, following)
    return scanner.followingOffset().then((next) => (isWrong(next) ? offsetsFault(first, last, expected) : undefined))
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
    if (this.#pace !== undefined) await paced(this.#pace, into.length)
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

async function paced(pace: ScrubPace, bytes: number): Promise<void> {
  if (!(await pace.take(bytes))) throw new PagelogError('PAGELOG_ABORTED', 'scrubbing was ended')
}
