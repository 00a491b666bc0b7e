/**
 * The changes of an open file, in the order of the calls. Writes need not wait until those before them were heard of:
 * with the addon a thread of the pool goes from one to the next by itself. Truncations run alone.
 *
 * A write that fails is taken back before anyone hears of it, and those that were to follow it are refused with it.
 */
import { ftruncate } from 'node:fs'
import { assert, type PagelogError } from '../../base/index.ts'
import type { FileCalls } from '../../native/index.ts'
import { storageError } from './storage-error.ts'
import { takeBack, writeParts } from './write-parts.ts'

export type Settled = (error?: Error) => void

interface Write {
  readonly parts: readonly Uint8Array[]
  readonly position: number
  readonly end: number
  readonly written: Settled
  /** With the fdatasync in the same call; not called when the write has failed. */
  readonly synced: Settled | undefined
}

interface Truncation {
  readonly size: number
  readonly settled: Settled
}

type WriteCalls = Pick<FileCalls, 'write' | 'hurry'>

export class FileChanges {
  readonly #fd: number
  readonly #path: string
  readonly #calls: WriteCalls | undefined
  /** Of what the kernel has taken. */
  #size: number
  /** Where the writes under way end, or `#size`. */
  #end: number
  #writes = 0
  /** A truncation runs, or a write is being taken back. */
  #isAlone = false
  readonly #waiting: (Write | Truncation)[] = []
  /** Of the last write that was refused. */
  #refusal: Error | undefined
  /** Those that the addon gave back with the one that is being taken back. */
  #givenBack: Write[] = []
  /** After it nothing is changed any more (reliability L5). */
  failure: PagelogError | undefined

  /** `calls`: of the addon; without it Node writes, one call after the other. */
  constructor(fd: number, path: string, size: number, calls: WriteCalls | undefined) {
    this.#fd = fd
    this.#path = path
    this.#size = size
    this.#end = size
    this.#calls = calls
  }

  get size(): number {
    return this.#size
  }

  /** A write can bring its fdatasync along. */
  get canSync(): boolean {
    return this.#calls !== undefined
  }

  write(parts: readonly Uint8Array[], position: number, written: Settled, synced?: Settled): void {
    let end = position
    for (let index = 0; index < parts.length; index++) end += parts[index]!.length
    this.#waiting.push({ parts, position, end, written, synced })
    this.#next()
  }

  truncate(size: number, settled: Settled): void {
    this.#waiting.push({ size, settled })
    this.#next()
  }

  /** Somebody waits to hear of the write that brings its sync along. */
  hurry(): void {
    if (this.#writes > 0) this.#calls?.hurry(this.#fd)
  }

  #next(): void {
    for (;;) {
      const change = this.#waiting[0]
      if (change === undefined || this.#isAlone) return
      const isWrite = 'parts' in change
      if (this.#writes > 0 && !(isWrite && this.#calls !== undefined)) return
      this.#waiting.shift()
      if (isWrite) this.#write(change)
      else this.#truncate(change)
    }
  }

  #truncate({ size, settled }: Truncation): void {
    if (this.failure !== undefined) {
      settled(this.failure)
      return
    }
    this.#isAlone = true
    ftruncate(this.#fd, size, (error) => {
      if (!error) {
        this.#size = size
        this.#end = size
      }
      this.#isAlone = false
      settled(error ? storageError('truncate', this.#path, error) : undefined)
      this.#next()
    })
  }

  #write(write: Write): void {
    const { parts, position, end } = write
    // Behind the end: it was asked for when there was to be something before it.
    const refusal = this.failure ?? (position > this.#end ? this.#refusal : undefined)
    if (refusal !== undefined) {
      write.written(refusal)
      return
    }
    this.#writes++
    this.#end = Math.max(this.#end, end)
    if (this.#calls === undefined) {
      const target = { fd: this.#fd, path: this.#path, sizeBefore: this.#size }
      writeParts(target, parts, position, (error) => {
        if (error === undefined) this.#wrote(write)
        else {
          this.#writes--
          this.#refuse(write, error)
        }
      })
    } else this.#calls.write(this.#fd, parts, position, write.synced !== undefined, this.#heard(write))
  }

  #heard(write: Write): Parameters<FileCalls['write']>[4] {
    let isWritten = false
    return (error, count) => {
      if (isWritten) write.synced!(error)
      else if (error === undefined) {
        isWritten = true
        this.#wrote(write)
      } else if (count < 0) {
        this.#writes--
        this.#givenBack.push(write)
      } else this.#takeBack(write, count, error)
    }
  }

  #wrote(write: Write): void {
    this.#writes--
    if (write.end > write.position) this.#size = Math.max(this.#size, write.end)
    write.written()
    this.#next()
  }

  #takeBack(write: Write, count: number, cause: Error): void {
    this.#writes--
    this.#isAlone = true
    const { position } = write
    assert(position <= this.#size, 'of the writes of a file one hears in their order')
    const target = { fd: this.#fd, path: this.#path, sizeBefore: this.#size }
    takeBack(target, position, position + count, cause, (error) => {
      this.#isAlone = false
      this.#refuse(write, error!)
    })
  }

  #refuse(write: Write, error: Error): void {
    this.#end = this.#size
    this.#refusal = error
    write.written(error)
    this.#waiting.unshift(...this.#givenBack.splice(0))
    this.#next()
  }
}
