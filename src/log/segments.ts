/** The segments of a log in the order of their offsets; the last one is active. */
import { assert } from '../base/index.ts'
import type { Segment } from './segment.ts'

/** Sealed segments of a log that stay loaded (descriptor and indexes), least recently loaded out first. */
const LOADED_SEALED_MAX = 16

export class Segments {
  readonly #sorted: Segment[]
  #loadedSealed: Segment[] = []

  /** At least one, by rising base offset. */
  constructor(sorted: readonly Segment[]) {
    assert(sorted.length > 0, 'a log has a segment')
    this.#sorted = [...sorted]
  }

  get count(): number {
    return this.#sorted.length
  }
  get first(): Segment {
    return this.#sorted[0]!
  }
  get active(): Segment {
    return this.#sorted[this.#sorted.length - 1]!
  }
  get all(): readonly Segment[] {
    return this.#sorted
  }
  /** Bytes of all batches. */
  get size(): number {
    let size = 0
    for (const segment of this.#sorted) size += segment.size
    return size
  }

  /** A new active segment. */
  add(segment: Segment): void {
    assert(segment.baseOffset > this.active.baseOffset, 'segments are added in order')
    this.#sorted.push(segment)
  }

  /** The segment whose range holds `offset`: the last with a base offset of at most that; the first one for lower offsets. */
  find(offset: number): Segment {
    const active = this.active
    return offset >= active.baseOffset ? active : this.#sorted[this.#floor(offset)]!
  }

  /** The one behind `segment`; undefined for the active one. */
  after(segment: Segment): Segment | undefined {
    return this.#sorted[this.#floor(segment.baseOffset) + 1]
  }

  /** A sealed segment was loaded or an active one sealed: keeps few of them loaded, only those that are `isSynced` go. */
  noteLoaded(segment: Segment, isSynced: (segment: Segment) => boolean): void {
    if (segment === this.active) return
    this.#loadedSealed = this.#loadedSealed.filter((one) => one !== segment)
    this.#loadedSealed.push(segment)
    if (this.#loadedSealed.length <= LOADED_SEALED_MAX) return
    const oldest = this.#loadedSealed.find((one) => one !== segment && one.pins === 0 && isSynced(one))
    if (oldest === undefined) return
    this.#loadedSealed = this.#loadedSealed.filter((one) => one !== oldest)
    void oldest.unload()
  }

  #floor(offset: number): number {
    let low = 0
    let high = this.#sorted.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#sorted[middle]!.baseOffset <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}
