/** The segments of a log in the order of their offsets; the last one is active. */
import { assert } from '../base/index.ts'
import type { Segment } from './segment.ts'

export class Segments {
  /** Never changed in place but by `add`, so that a walk over `all` that waits meets each segment once. */
  #sorted: Segment[]

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

  /** Forgets the first `count` segments and returns them, oldest first; never the active one. */
  removeFirst(count: number): Segment[] {
    assert(count < this.#sorted.length, 'the active segment is not removed from the front')
    return this.#forget(this.#sorted.slice(0, count))
  }

  /** Forgets the last `count` segments and returns them, newest first; the one before them becomes active. */
  removeLast(count: number): Segment[] {
    assert(count < this.#sorted.length, 'a log keeps a segment')
    return this.#forget(count === 0 ? [] : this.#sorted.slice(-count)).reverse()
  }

  /** Puts `fresh` in the place of `old`, sealed segments next to one another; without `fresh` they are just forgotten. */
  replace(old: readonly Segment[], fresh: Segment | undefined): void {
    const at = this.#sorted.indexOf(old[0]!)
    const isRun = at >= 0 && old.every((segment, index) => this.#sorted[at + index] === segment)
    assert(isRun && at + old.length < this.#sorted.length, 'sealed segments in a row are replaced')
    this.#forget(old)
    if (fresh !== undefined) this.#sorted = [...this.#sorted.slice(0, at), fresh, ...this.#sorted.slice(at)]
  }

  /** The segment whose range holds `offset`: the last with a base offset of at most that; the first one for lower offsets. */
  find(offset: number): Segment {
    const active = this.active
    return offset >= active.baseOffset ? active : this.#sorted[this.#floor(offset)]!
  }

  /** The one behind `segment`; undefined for the active one. */
  after(segment: Segment): Segment | undefined {
    // It may have been removed or replaced meanwhile.
    const floor = this.#floor(segment.baseOffset)
    return this.#sorted[floor]!.baseOffset > segment.baseOffset ? this.#sorted[floor] : this.#sorted[floor + 1]
  }

  #forget(gone: readonly Segment[]): Segment[] {
    const set = new Set(gone)
    this.#sorted = this.#sorted.filter((segment) => !set.has(segment))
    return [...gone]
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
