/** An open file of a disk in memory. What it holds lives in its node, which outlasts names and handles. */
import { assert } from '../../base/index.ts'
import type { File, FileRegion, OpenMode, SyncedWrite } from '../disk.ts'
import { storageError } from '../node/storage-error.ts'
import { writeThenSync } from '../write-then-sync.ts'
import { ErrnoError } from './errno.ts'
import { FileHolds } from './file-holds.ts'
import { PagedBytes } from './paged-bytes.ts'
import type { Turns } from './turns.ts'

export class FileNode {
  readonly content = new PagedBytes()
  modifiedMs: number
  /** Reserved by `allocate`, from the start of the file on. */
  reservedBytes = 0
  /** Names and open handles: without any of them the bytes are given back. */
  users = 0

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs
  }

  /** What it takes of the capacity. */
  get usedBytes(): number {
    return Math.max(this.content.size, this.reservedBytes)
  }
}

/** What a file needs of its disk. */
export interface FileOwner {
  readonly turns: Turns
  nowMs(): number
  /** Takes `bytes` of the capacity; throws ENOSPC. Negative ones are given back. */
  charge(bytes: number, path: string): void
  /** A handle is gone. */
  drop(node: FileNode): void
}

export class MemoryFile implements File {
  readonly path: string
  readonly #node: FileNode
  readonly #owner: FileOwner
  readonly #isReadOnly: boolean
  readonly #holds: FileHolds
  /** Of the last write that was refused. */
  #refusal: Error | undefined

  /** Counts as a user of `node` until it is closed. */
  constructor(path: string, node: FileNode, mode: OpenMode, owner: FileOwner) {
    this.path = path
    this.#node = node
    this.#owner = owner
    this.#isReadOnly = mode === 'read'
    this.#holds = new FileHolds(path)
    node.users++
  }

  get size(): number {
    return this.#node.content.size
  }

  write(parts: readonly Uint8Array[], position: number): Promise<void> {
    assert(Number.isSafeInteger(position) && position >= 0, 'a position in a file is a whole number')
    let length = 0
    for (const part of parts) length += part.length
    return this.#change('write', length, () => {
      if (length === 0) return
      // It was asked for when there was to be something before it.
      if (this.#refusal !== undefined && position > this.size) throw this.#refusal
      this.#grow(position + length)
      let at = position
      for (const part of parts) {
        this.#node.content.write(part, at)
        at += part.length
      }
    })
  }

  writeSynced(parts: readonly Uint8Array[], position: number): SyncedWrite {
    return writeThenSync(this, parts, position)
  }

  truncate(size: number): Promise<void> {
    assert(Number.isSafeInteger(size) && size >= 0, 'the size of a file is a whole number')
    return this.#change('truncate', 0, () => {
      const node = this.#node
      if (size > node.content.size) this.#grow(size)
      const before = node.usedBytes
      // As ftruncate, which gives reserved blocks behind the end back.
      if (size < node.content.size) node.reservedBytes = Math.min(node.reservedBytes, size)
      node.content.truncate(size)
      this.#owner.charge(node.usedBytes - before, this.path)
    })
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.#holds.checkReadable()
    const { turns } = this.#owner
    return await this.#holds.during(turns.run(() => this.#node.content.read(into, position), into.length))
  }

  tryRead(into: Uint8Array, position: number): number {
    this.#holds.checkReadable()
    return this.#node.content.read(into, position)
  }

  async dataSync(): Promise<void> {
    this.#holds.checkWritable()
    await this.#holds.during(this.#owner.turns.run(() => {}))
  }

  async allocate(position: number, length: number): Promise<void> {
    this.#holds.checkWritable()
    if (length === 0) return
    const reserve = (): void => {
      const end = position + length
      this.#owner.charge(Math.max(0, end - this.#node.usedBytes), this.path)
      this.#node.reservedBytes = Math.max(this.#node.reservedBytes, end)
    }
    await this.#holds.during(this.#guarded('allocate', reserve))
  }

  async dropCache(): Promise<void> {
    this.#holds.checkReadable()
  }

  region(position: number, length: number): FileRegion {
    return this.#holds.region(this, position, length)
  }

  close(): Promise<void> {
    return this.#holds.close(() => this.#owner.drop(this.#node))
  }

  /** Changes of a file happen in the order of the calls; after a failure other than a full disk there are no more. */
  async #change(what: string, bytes: number, work: () => void): Promise<void> {
    this.#holds.checkWritable()
    const guarded = (): void => {
      if (this.#holds.failure !== undefined) throw this.#holds.failure
      if (this.#isReadOnly) throw new ErrnoError('EBADF', this.path)
      work()
      this.#node.modifiedMs = this.#owner.nowMs()
    }
    await this.#holds.during(this.#guarded(what, guarded, bytes))
  }

  async #guarded(what: string, work: () => void, bytes = 0): Promise<void> {
    try {
      await this.#owner.turns.run(work, bytes)
    } catch (cause) {
      const error = storageError(what, this.path, cause)
      if (error.code === 'PAGELOG_STORAGE') this.#holds.failure ??= error
      if (what === 'write') this.#refusal = error
      throw error
    }
  }

  #grow(end: number): void {
    this.#owner.charge(Math.max(0, end - this.#node.usedBytes), this.path)
  }
}
