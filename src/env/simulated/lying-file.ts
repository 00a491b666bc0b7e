/** An open file of a lying disk; it obeys the rules of a real one and dies with the power-on that it was opened in. */
import { assert, Mutex, PagelogError } from '../../base/index.ts'
import type { File, FileRegion, OpenMode, SyncedWrite } from '../disk.ts'
import { ErrnoError } from '../memory/errno.ts'
import { FileHolds } from '../memory/file-holds.ts'
import { finalError, storageError } from '../node/storage-error.ts'
import { writeThenSync } from '../write-then-sync.ts'
import { type LyingDevice, type Operation, powerIsOff, ShortWriteError } from './lying-device.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VolatileFile } from './volatile-file.ts'

export class LyingFile implements File {
  readonly path: string
  readonly #node: VolatileFile
  readonly #device: LyingDevice
  readonly #generation: number
  readonly #isReadOnly: boolean
  readonly #coldReads: number
  readonly #holds: FileHolds
  /** Writes and truncations happen in the order of the calls. */
  readonly #changes = new Mutex()
  /** Of the last write that was refused. */
  #refusal: PagelogError | undefined
  #syncing: Promise<void> | undefined
  #nextSync: Promise<void> | undefined

  /** `node` counts it as a user until it is closed. `coldReads`: share of `tryRead` that finds no page in memory. */
  constructor(path: string, node: VolatileFile, device: LyingDevice, options: { mode: OpenMode; coldReads: number }) {
    this.path = path
    this.#node = node
    this.#device = device
    this.#generation = device.generation
    this.#isReadOnly = options.mode === 'read'
    this.#coldReads = options.coldReads
    this.#holds = new FileHolds(path)
    node.users++
  }

  get size(): number {
    return this.#node.content.size
  }

  async write(parts: readonly Uint8Array[], position: number): Promise<void> {
    assert(Number.isSafeInteger(position) && position >= 0, 'a position in a file is a whole number')
    this.#holds.checkWritable()
    let length = 0
    for (const part of parts) length += part.length
    await this.#holds.during(
      this.#changes.run(async () => {
        if (length === 0) return
        const sizeBefore = this.size
        // It was asked for when there was to be something before it.
        if (this.#refusal !== undefined && position > sizeBefore) throw this.#refusal
        const operation: Operation<void> = {
          operation: 'write',
          path: this.path,
          position,
          length,
          run: () => this.#put(parts, position, length),
          runPart: (random) => this.#put(parts, position, random.below(length)),
        }
        try {
          await this.#change('write', operation).catch((error: unknown) => this.#takeBack(error, sizeBefore))
        } catch (error) {
          this.#refusal = error as PagelogError
          throw error
        }
      }),
    )
  }

  writeSynced(parts: readonly Uint8Array[], position: number): SyncedWrite {
    return writeThenSync(this, parts, position)
  }

  async truncate(size: number): Promise<void> {
    assert(Number.isSafeInteger(size) && size >= 0, 'the size of a file is a whole number')
    this.#holds.checkWritable()
    await this.#holds.during(this.#changes.run(() => this.#truncate(size)))
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.#holds.checkReadable()
    const run = (): Uint8Array => into.subarray(0, this.#node.content.read(into, position))
    try {
      return (await this.#holds.during(this.#do({ operation: 'read', path: this.path, position, run }))).length
    } catch (error) {
      throw storageError('read', this.path, error, position)
    }
  }

  tryRead(into: Uint8Array, position: number): number {
    this.#holds.checkReadable()
    if (this.#isDead) throw powerIsOff(this.path)
    const isThreatened = this.#device.faults.threatens({ operation: 'read', path: this.path })
    if (isThreatened || this.#device.random.chance(this.#coldReads)) return -1
    return this.#node.content.read(into, position)
  }

  /** One at a time; those who ask while it runs share the next one, as those of a real file. */
  async dataSync(): Promise<void> {
    if (this.#node.hasFailedSync) this.#device.repeatedSyncs.push(this.path)
    this.#holds.checkWritable()
    if (this.#syncing !== undefined) {
      this.#nextSync ??= this.#syncing.then(
        () => this.#sync(),
        () => this.#sync(),
      )
      await this.#holds.during(this.#nextSync)
    } else await this.#holds.during(this.#sync())
  }

  async allocate(position: number, length: number): Promise<void> {
    this.#holds.checkWritable()
    if (length === 0) return
    const end = position + length
    const run = (): void => {
      this.#device.charge(Math.max(0, end - this.#node.usedBytes), this.path)
      this.#node.reservedBytes = Math.max(this.#node.reservedBytes, end)
    }
    try {
      await this.#holds.during(this.#do({ operation: 'allocate', path: this.path, position, length, run }))
    } catch (error) {
      throw storageError('allocate', this.path, error)
    }
  }

  async dropCache(): Promise<void> {
    this.#holds.checkReadable()
  }

  region(position: number, length: number): FileRegion {
    if (this.#isDead) throw powerIsOff(this.path)
    return this.#holds.region(this, position, length)
  }

  close(): Promise<void> {
    return this.#holds.close(() => {
      if (!this.#isDead) this.#device.drop(this.#node)
    })
  }

  get #isDead(): boolean {
    return this.#device.isOff || this.#device.generation !== this.#generation
  }

  #do<T>(operation: Operation<T>): Promise<T> {
    return this.#device.do(this.#generation, operation)
  }

  async #sync(): Promise<void> {
    this.#nextSync = undefined
    const run = this.#syncOnce().finally(() => {
      if (this.#syncing === run) this.#syncing = undefined
    })
    this.#syncing = run
    await run
  }

  async #syncOnce(): Promise<void> {
    const { failure } = this.#holds
    if (failure !== undefined) throw failure
    // What is written while it runs is not promised.
    const covered = this.#node.changeCount
    const runFailed = (random: SeededRandom): void => this.#node.failSync(random)
    const run = (): void => this.#node.sync(covered)
    try {
      await this.#do({ operation: 'dataSync', path: this.path, run, runFailed })
    } catch (cause) {
      this.#holds.failure ??= finalError('sync', this.path, cause)
      throw this.#holds.failure
    }
  }

  async #truncate(size: number): Promise<void> {
    const run = (): void => {
      this.#checkMode()
      const node = this.#node
      if (size > node.content.size) this.#device.charge(Math.max(0, size - node.usedBytes), this.path)
      const before = node.usedBytes
      if (size < node.content.size) node.reservedBytes = Math.min(node.reservedBytes, size)
      node.truncate(size)
      if (node.usedBytes < before) this.#device.charge(node.usedBytes - before, this.path)
    }
    await this.#change('truncate', { operation: 'truncate', path: this.path, length: size, run })
  }

  async #change(what: string, operation: Operation<void>): Promise<void> {
    if (this.#holds.failure !== undefined) throw this.#holds.failure
    try {
      await this.#do(operation)
    } catch (cause) {
      if (cause instanceof ShortWriteError) throw cause
      const error = storageError(what, this.path, cause)
      if (error.code === 'PAGELOG_STORAGE') this.#holds.failure ??= error
      throw error
    }
  }

  /** Of a write that was taken in part nothing may stay. */
  async #takeBack(error: unknown, sizeBefore: number): Promise<never> {
    if (error instanceof PagelogError) throw error
    await this.#truncate(sizeBefore)
    throw storageError('write', this.path, error)
  }

  /** The first `length` bytes of the parts. */
  #put(parts: readonly Uint8Array[], position: number, length: number): void {
    this.#checkMode()
    this.#device.charge(Math.max(0, position + length - this.#node.usedBytes), this.path)
    let at = position
    for (const part of parts) {
      const taken = part.subarray(0, Math.max(0, position + length - at))
      this.#node.write(taken, at)
      at += taken.length
    }
    this.#node.modifiedMs = this.#device.nowMs()
  }

  #checkMode(): void {
    if (this.#isReadOnly) throw new ErrnoError('EBADF', this.path)
  }
}
