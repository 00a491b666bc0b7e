/**
 * What keeps an open file open: calls in flight and regions. `closed` resolves when `close` was called and nothing holds
 * the file any more; the same rules as those of a real file.
 */
import { assert, PagelogError } from '../../base/index.ts'
import type { File, FileRegion } from '../disk.ts'

export class FileHolds {
  readonly #path: string
  #holders = 0
  #regions = 0
  #closing: Promise<void> | undefined
  #allGone: (() => void) | undefined
  /** After it the file takes no more writes or syncs (reliability L5). */
  failure: PagelogError | undefined

  constructor(path: string) {
    this.#path = path
  }

  checkWritable(): void {
    if (this.#closing !== undefined) throw this.#closedError()
    if (this.failure !== undefined) throw this.failure
  }

  /** Whoever has a region may still read. */
  checkReadable(): void {
    if (this.#closing !== undefined && this.#regions === 0) throw this.#closedError()
  }

  /** Keeps the file open until `call` is settled; remembers what makes it unusable. */
  async during<T>(call: Promise<T>): Promise<T> {
    this.#holders++
    try {
      return await call
    } finally {
      this.#letGo()
    }
  }

  region(file: File, position: number, length: number): FileRegion {
    this.checkReadable()
    this.#holders++
    this.#regions++
    let isReleased = false
    return {
      file,
      position,
      length,
      release: () => {
        assert(!isReleased, 'a file region was released twice')
        isReleased = true
        this.#regions--
        this.#letGo()
      },
    }
  }

  /** `whenClosed` runs once, when nothing holds the file any more. */
  close(whenClosed: () => void): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      if (this.#holders === 0) resolve()
      else this.#allGone = resolve
    }).then(whenClosed)
    return this.#closing
  }

  #letGo(): void {
    this.#holders--
    if (this.#holders === 0) this.#allGone?.()
  }

  #closedError(): PagelogError {
    return new PagelogError('PAGELOG_CLOSED', `${this.#path} is closed`, { path: this.#path })
  }
}
