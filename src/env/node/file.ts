/**
 * An open file and its regions. The descriptor is closed when `close` was called and nothing holds it any more: no call
 * in flight, no region; a number that Node may give to the next file or socket is never used after that.
 *
 * Writes and truncations of one file happen one after the other, in call order (file-changes.ts). After a failure other
 * than a full disk the file takes no more writes or syncs: what the page cache then holds is unknown (reliability L5).
 */
import { fdatasync, close as fsClose, read } from 'node:fs'
import { assert, PagelogError } from '../../base/index.ts'
import { type FileCalls, fileCalls } from '../../native/index.ts'
import type { File, FileRegion, SyncedWrite } from '../disk.ts'
import { writeThenSync } from '../write-then-sync.ts'
import { FileChanges, type Settled } from './file-changes.ts'
import { finalError, storageError } from './storage-error.ts'
import { PoolClass, type PoolSlots, poolSlots } from './thread-pool.ts'

interface Waiting {
  resolve(): void
  reject(error: unknown): void
}

export class NodeFile implements File {
  readonly path: string
  readonly #fd: number
  readonly #slots: PoolSlots
  readonly #changes: FileChanges
  /** Calls in flight and regions: what keeps the descriptor open. */
  #holders = 0
  #regions = 0
  #readsWithoutWaiting = fileCalls !== undefined
  #syncing = false
  #syncsWaiting: Waiting[] = []
  #closing: Promise<void> | undefined
  #allGone: (() => void) | undefined

  constructor(
    path: string,
    fd: number,
    size: number,
    outside: { slots?: PoolSlots; calls?: FileCalls | undefined } = {},
  ) {
    const { slots = poolSlots, calls = fileCalls } = outside
    this.path = path
    this.#fd = fd
    this.#changes = new FileChanges(fd, path, size, calls)
    this.#slots = slots
  }

  get size(): number {
    return this.#changes.size
  }

  /** For calls on the descriptor within env/node; the caller holds a region meanwhile. */
  get fd(): number {
    return this.#fd
  }

  write(parts: readonly Uint8Array[], position: number): Promise<void> {
    assert(Number.isSafeInteger(position) && position >= 0, 'a position in a file is a whole number')
    return this.#change((settled) => this.#changes.write(parts, position, settled))
  }

  writeSynced(parts: readonly Uint8Array[], position: number): SyncedWrite {
    const isPossible = this.#changes.canSync && !this.#syncing && !this.#closing && !this.#failure
    if (!isPossible || !this.#slots.tryEnter(PoolClass.DATA_SYNC)) return writeThenSync(this, parts, position)
    assert(Number.isSafeInteger(position) && position >= 0, 'a position in a file is a whole number')
    this.#syncing = true
    this.#holders++
    let synced!: Promise<void>
    const written = this.#change((settled) => {
      synced = new Promise((resolve, reject) => {
        const over = (): void => this.#synced([{ resolve, reject }])
        const onWritten: Settled = (error) => {
          settled(error)
          if (error === undefined) return
          reject(error)
          this.#syncOver()
          this.#letGo()
        }
        this.#changes.write(parts, position, onWritten, (error) => {
          if (error) this.#failure ??= finalError('sync', this.path, error)
          over()
        })
      })
    })
    synced.catch(() => {}) // whoever waits for it hears of it
    return { written, synced, hurry: () => this.#changes.hurry() }
  }

  truncate(size: number): Promise<void> {
    assert(Number.isSafeInteger(size) && size >= 0, 'the size of a file is a whole number')
    return this.#change((settled) => this.#changes.truncate(size, settled))
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#holdToRead()
      this.#slots.enter(PoolClass.COLD_READ, () => {
        this.#readAll(into, position, (error, count) => {
          this.#slots.leave(PoolClass.COLD_READ)
          this.#letGo()
          if (error) reject(storageError('read', this.path, error, position))
          else resolve(count)
        })
      })
    })
  }

  tryRead(into: Uint8Array, position: number): number {
    this.#checkReadable()
    if (!this.#readsWithoutWaiting) return -1
    const count = fileCalls!.tryRead(this.#fd, into, position)
    if (count === -2) {
      this.#readsWithoutWaiting = false
      return -1
    }
    const expected = Math.min(into.length, Math.max(0, this.size - position))
    return count >= expected ? count : -1
  }

  /** One fdatasync at a time; those who ask while it runs share the next one. */
  dataSync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkWritable()
      this.#holders++
      this.#syncsWaiting.push({ resolve, reject })
      if (!this.#syncing) this.#sync()
    })
  }

  async allocate(position: number, length: number): Promise<void> {
    this.#checkWritable()
    if (!fileCalls || length === 0) return
    await this.#held(fileCalls.allocate(this.#fd, position, length), 'allocate')
  }

  async dropCache(position: number, length: number): Promise<void> {
    this.#checkReadable()
    if (!fileCalls || length === 0) return
    await this.#held(fileCalls.dropCache(this.#fd, position, length), 'drop the cache of')
  }

  region(position: number, length: number): NodeRegion {
    this.#checkReadable()
    this.#holders++
    this.#regions++
    return new NodeRegion(this, position, length, () => {
      this.#regions--
      this.#letGo()
    })
  }

  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      if (this.#holders === 0) resolve()
      else this.#allGone = resolve
    }).then(() => closeDescriptor(this.#fd, this.path))
    return this.#closing
  }

  #change(run: (settled: Settled) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkWritable()
      this.#holders++
      run((error) => {
        if (error instanceof PagelogError && error.code === 'PAGELOG_STORAGE') this.#failure ??= error
        this.#letGo()
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  }

  /**
   * Side by side two calls could lose a failure: the kernel tells it to one of them only, the other is told that all is
   * well and may be heard first. So the next begins when the one before it was heard, and never after a failure.
   */
  #sync(): void {
    this.#syncing = true
    this.#slots.enter(PoolClass.DATA_SYNC, () => {
      const waiting = this.#syncsWaiting
      this.#syncsWaiting = []
      const synced = (error: Error | null): void => {
        if (error) this.#failure ??= finalError('sync', this.path, error)
        this.#synced(waiting)
      }
      // It may have failed while this one waited for its slot.
      if (this.#failure) synced(null)
      else fdatasync(this.#fd, synced)
    })
  }

  #synced(waiting: readonly Waiting[]): void {
    this.#syncOver()
    for (const { resolve, reject } of waiting) {
      this.#letGo()
      if (this.#failure) reject(this.#failure)
      else resolve()
    }
  }

  #syncOver(): void {
    this.#slots.leave(PoolClass.DATA_SYNC)
    this.#syncing = false
    if (this.#syncsWaiting.length > 0) this.#sync()
  }

  get #failure(): PagelogError | undefined {
    return this.#changes.failure
  }
  set #failure(failure: PagelogError | undefined) {
    this.#changes.failure = failure
  }

  /** Reads until `into` is full or the file ends. */
  #readAll(into: Uint8Array, position: number, done: (error: Error | null, count: number) => void): void {
    let count = 0
    const more = (): void => {
      read(this.#fd, into, count, into.length - count, position + count, (error, got) => {
        if (error) return done(error, count)
        count += got
        if (got === 0 || count === into.length) done(null, count)
        else more()
      })
    }
    more()
  }

  /** Keeps the descriptor open until the call is settled. */
  async #held(call: Promise<void>, what: string): Promise<void> {
    this.#holders++
    try {
      await call
    } catch (error) {
      throw storageError(what, this.path, error)
    } finally {
      this.#letGo()
    }
  }

  #checkWritable(): void {
    if (this.#closing) throw this.#closedError()
    if (this.#failure) throw this.#failure
  }

  /** Whoever has a region may still read. */
  #checkReadable(): void {
    if (this.#closing && this.#regions === 0) throw this.#closedError()
  }

  #holdToRead(): void {
    this.#checkReadable()
    this.#holders++
  }

  #closedError(): PagelogError {
    return new PagelogError('PAGELOG_CLOSED', `${this.path} is closed`, { path: this.path })
  }

  #letGo(): void {
    this.#holders--
    if (this.#holders === 0) this.#allGone?.()
  }
}

/** A region of a real file; `fd` is open as long as it is not released. */
export class NodeRegion implements FileRegion {
  readonly file: NodeFile
  readonly position: number
  readonly length: number
  #onRelease: (() => void) | undefined

  constructor(file: NodeFile, position: number, length: number, onRelease: () => void) {
    this.file = file
    this.position = position
    this.length = length
    this.#onRelease = onRelease
  }

  get fd(): number {
    return this.file.fd
  }

  release(): void {
    const onRelease = this.#onRelease
    assert(onRelease !== undefined, 'a file region was released twice')
    this.#onRelease = undefined
    onRelease()
  }
}

function closeDescriptor(fd: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fsClose(fd, (error) => (error ? reject(storageError('close', path, error)) : resolve()))
  })
}
