/**
 * Growing bytes in memory, as pages of fixed length, so that growth never copies what is there: the content of a file.
 * A page that was never written takes no memory and reads as zeros; the first page of a small file grows in steps.
 */
import { assert } from '../../base/index.ts'

const PAGE_BYTES = 64 * 1024
const FIRST_PAGE_BYTES_MIN = 256

export class PagedBytes {
  readonly #pages: (Uint8Array | undefined)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Puts `part` at `position`; a gap behind the end reads as zeros. */
  write(part: Uint8Array, position: number): void {
    for (let done = 0; done < part.length; ) {
      const at = (position + done) % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - at, part.length - done)
      this.#page(Math.floor((position + done) / PAGE_BYTES), at + count).set(part.subarray(done, done + count), at)
      done += count
    }
    if (part.length > 0) this.#size = Math.max(this.#size, position + part.length)
  }

  /** Fills `into` from `position` on; returns how many bytes there were. */
  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.#size - position))
    for (let done = 0; done < count; ) {
      const at = (position + done) % PAGE_BYTES
      const length = Math.min(PAGE_BYTES - at, count - done)
      const page = this.#pages[Math.floor((position + done) / PAGE_BYTES)]
      const held = page === undefined ? 0 : Math.max(0, Math.min(length, page.length - at))
      if (held > 0) into.set(page!.subarray(at, at + held), done)
      if (held < length) into.fill(0, done + held, done + length)
      done += length
    }
    return count
  }

  /** A copy of the bytes from `from` up to `to`. */
  slice(from = 0, to = this.#size): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(to, this.#size) - from))
    this.read(bytes, from)
    return bytes
  }

  /** Cuts or, with zeros, extends. */
  truncate(size: number): void {
    assert(size >= 0, 'a size is not negative')
    if (size < this.#size) {
      const pageCount = Math.ceil(size / PAGE_BYTES)
      if (this.#pages.length > pageCount) this.#pages.length = pageCount
      // What lies behind the end must read as zeros when the file grows over it again.
      const at = size % PAGE_BYTES
      if (at > 0) this.#pages[pageCount - 1]?.fill(0, at)
    }
    this.#size = size
  }

  /** Page `index` with room up to `end` in it. */
  #page(index: number, end: number): Uint8Array {
    const page = this.#pages[index]
    if (page !== undefined && page.length >= end) return page
    while (this.#pages.length < index) this.#pages.push(undefined)
    const wanted = index === 0 ? Math.max(end, 2 * (page?.length ?? 0), FIRST_PAGE_BYTES_MIN) : PAGE_BYTES
    const larger = new Uint8Array(Math.min(wanted, PAGE_BYTES))
    if (page !== undefined) larger.set(page)
    this.#pages[index] = larger
    return larger
  }
}
