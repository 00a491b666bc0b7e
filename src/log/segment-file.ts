/**
 * The `.log` file of a segment while it is open, and whoever goes by the names of the segment's files. Given up by the
 * log (*retired*), it is opened no more; what has it open goes on reading.
 */
import { assert, PagelogError } from '../base/index.ts'
import type { Disk, File } from '../env/index.ts'

export class SegmentFile {
  readonly #path: string
  readonly #disk: Disk
  readonly #onOpened: () => void
  #file: File | undefined
  #opening: Promise<File> | undefined
  #isRetired = false
  /** Calls under way that go by the names. */
  readonly #naming = new Set<Promise<unknown>>()

  constructor(disk: Disk, path: string, onOpened: () => void) {
    this.#disk = disk
    this.#path = path
    this.#onOpened = onOpened
  }

  get isOpen(): boolean {
    return this.#file !== undefined
  }
  get isRetired(): boolean {
    return this.#isRetired
  }
  /** Requires that it is open. */
  get opened(): File {
    assert(this.#file !== undefined, 'segment file is open')
    return this.#file
  }

  async open(): Promise<File> {
    if (this.#file !== undefined) return this.#file
    this.#opening ??= this.named(() => this.#disk.open(this.#path, 'write')).finally(() => {
      this.#opening = undefined
    })
    const file = await this.#opening
    if (this.#file === undefined) this.adopt(file)
    return file
  }

  /** It was opened by somebody else. */
  adopt(file: File): void {
    this.#file = file
    this.#onOpened()
  }

  /** It counts as closed from now on; the caller closes what it is given. */
  release(): File | undefined {
    const file = this.#file
    this.#file = undefined
    return file
  }

  /** Runs a call that goes by the names of the files; `retire` waits for it. Error: PAGELOG_CLOSED. */
  async named<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isRetired) {
      throw new PagelogError('PAGELOG_CLOSED', 'segment is no longer part of the log', { path: this.#path })
    }
    const running = call()
    this.#naming.add(running)
    try {
      return await running
    } finally {
      this.#naming.delete(running)
    }
  }

  /** Once this resolves nothing goes by the names any more. */
  async retire(): Promise<void> {
    this.#isRetired = true
    await Promise.allSettled(this.#naming)
  }
}
