/**
 * An open file and its regions. The descriptor is closed when `close` was called and nothing holds it any more: no call
 * in flight, no region; a number that Node may give to the next file or socket is never used after that.
 *
 * Writes and truncations of one file run one after the other, in call order. After a failure other than a full disk the
 * file takes no more writes or syncs: what the page cache then holds is unknown (reliability L5).
 */
import { fdatasync, close as fsClose, ftruncate, read } from 'node:fs'
import { assert, PagelogError } from '../../base/index.ts'
import { fileCalls } from '../../native/index.ts'
import type { File, FileRegion } from '../disk.ts'
import { finalError, storageError } from './storage-error.ts'
import { PoolClass, type PoolSlots, poolSlots } from './thread-pool.ts'
import { writeParts } from './write-parts.ts'

type Settled = (error?: unknown) => void

export class NodeFile implements File {
  readonly path: string
  readonly #fd: number
  readonly #slots: PoolSlots
  #size: number
  /** Calls in flight and regions: what keeps the descriptor open. */
  #holders = 0
  #regions = 0
  #failure: PagelogError | undefined
  #readsWithoutWaiting = fileCalls !== undefined
  /** Writes and truncations: the one running and those behind it. */
  #changing = false
  readonly #changes: (() => void)[] = []
  #syncing = false
  #syncsWaiting: { resolve: () => void; reject: (error: unknown) => void }[] = []
  #closing: Promise<void> | undefined
  #allGone: (() => void) | undefined

  constructor(path: string, fd: number, size: number, slots: PoolSlots = poolSlots) {
    this.path = path
    this.#fd = fd
    this.#size = size
    this.#slots = slots
  }

  get size(): number {
    return this.#size
  }

  /** For calls on the descriptor within env/node; the caller holds a region meanwhile. */
  get fd(): number {
    return this.#fd
  }

  write(parts: readonly Uint8Array[], position: number): Promise<void> {
    assert(Number.isSafeInteger(position) && position >= 0, 'a position in a file is a whole number')
    return this.#change((settled) => {
      const sizeBefore = this.#size
      writeParts({ fd: this.#fd, path: this.path, sizeBefore }, parts, position, (error, end) => {
        if (error === undefined && end > position) this.#size = Math.max(this.#size, end)
        settled(error)
      })
    })
  }

  truncate(size: number): Promise<void> {
    assert(Number.isSafeInteger(size) && size >= 0, 'the size of a file is a whole number')
    return this.#change((settled) => {
      ftruncate(this.#fd, size, (error) => {
        if (error) return settled(storageError('truncate', this.path, error))
        this.#size = size
        settled()
      })
    })
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
    const expected = Math.min(into.length, Math.max(0, this.#size - position))
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

  /** Queues a change of the file; only one runs at a time. */
  #change(run: (settled: Settled) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkWritable()
      this.#holders++
      const start = () => {
        // It may have failed while this one waited.
        if (this.#failure) this.#changed(this.#failure, resolve, reject)
        else run((error) => this.#changed(error, resolve, reject))
      }
      if (this.#changing) this.#changes.push(start)
      else {
        this.#changing = true
        start()
      }
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
        this.#slots.leave(PoolClass.DATA_SYNC)
        if (error) this.#failure ??= finalError('sync', this.path, error)
        this.#syncing = false
        if (this.#syncsWaiting.length > 0) this.#sync()
        for (const { resolve, reject } of waiting) {
          this.#letGo()
          if (this.#failure) reject(this.#failure)
          else resolve()
        }
      }
      // It may have failed while this one waited for its slot.
      if (this.#failure) synced(null)
      else fdatasync(this.#fd, synced)
    })
  }

  #changed(error: unknown, resolve: () => void, reject: (error: unknown) => void): void {
    if (error instanceof PagelogError && error.code === 'PAGELOG_STORAGE') this.#failure ??= error
    const next = this.#changes.shift()
    if (next) next()
    else this.#changing = false
    this.#letGo()
    if (error === undefined) resolve()
    else reject(error)
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
