/**
 * A disk that keeps no more promises than it must, for tests of what survives: bytes are on the device after `dataSync`,
 * names after `syncDirectory`, and of all else a crash keeps what it likes. The seed decides everything: the same calls
 * on the same seed give the same operations, faults and crashes.
 *
 *   const machine = lyingDisk({ seed: 7 })
 *   … openLogDirectory or LogDirectory.open with machine.disk …
 *   machine.inject({ operation: 'dataSync', path: '.log', error: 'EIO', nth: 3 })
 *   machine.crash()         // power loss; or kill(): the end of the process, which loses nothing the kernel has
 *   … open again with machine.disk, which is another one now …
 *
 * Whatever was opened before a crash is dead: its calls in flight and all later ones reject with PAGELOG_STORAGE.
 */
import { hasCode, PagelogError } from '../../base/index.ts'
import type { Clock } from '../clock.ts'
import type { Disk, File, FileLock, FileStatus, NameSync, OpenMode } from '../disk.ts'
import { DirectoryNode, parentOf } from '../memory/directory-tree.ts'
import { ErrnoError } from '../memory/errno.ts'
import { notFound } from '../memory/memory-disk.ts'
import { nodeClock } from '../node/clock.ts'
import { finalError, storageError } from '../node/storage-error.ts'
import { type Fault, type FaultMatch, type Hold, type InjectedFault, matches } from './faults.ts'
import { LyingDevice, type Operation } from './lying-device.ts'
import { LyingFile } from './lying-file.ts'
import type { OperationLog } from './operation-log.ts'
import { SeededRandom } from './seeded-random.ts'
import { VolatileFile } from './volatile-file.ts'

const CAPACITY_BYTES = 1024 * 1024 * 1024
const COLD_READS = 0.2

export interface LyingDiskOptions {
  readonly seed: number
  /** 1 GiB by default; may be changed later. */
  readonly capacityBytes?: number
  /** Share of reads that find nothing in the page cache, 0.2 by default. */
  readonly coldReads?: number
  readonly clock?: Pick<Clock, 'nowMs' | 'soon'>
}

export class LyingDisk {
  readonly seed: number
  readonly #device: LyingDevice
  readonly #coldReads: number
  #disk: Disk

  constructor(options: LyingDiskOptions) {
    const { seed, capacityBytes = CAPACITY_BYTES, coldReads = COLD_READS, clock = nodeClock } = options
    this.seed = seed
    this.#coldReads = coldReads
    this.#device = new LyingDevice(new SeededRandom(seed), capacityBytes, clock)
    this.#disk = new MountedDisk(this.#device, coldReads)
  }

  /** The disk as it is mounted now; after a crash it is another one. */
  get disk(): Disk {
    return this.#disk
  }
  /** What happened so far. */
  get log(): OperationLog {
    return this.#device.log
  }
  /** Operations that changed something or made it durable. */
  get steps(): number {
    return this.#device.steps
  }
  /** `stopAt` was reached, and nothing has started again. */
  get isOff(): boolean {
    return this.#device.isOff
  }
  /** Files whose sync was asked for again after one that had failed: reliability L5 is broken when there is any. */
  get repeatedSyncs(): readonly string[] {
    return this.#device.repeatedSyncs
  }
  get capacityBytes(): number {
    return this.#device.capacityBytes
  }
  set capacityBytes(bytes: number) {
    this.#device.capacityBytes = bytes
  }
  get usedBytes(): number {
    return this.#device.usedBytes
  }

  inject(fault: Fault): InjectedFault {
    return this.#device.faults.inject(fault)
  }

  /** Operations that match wait until they are released. */
  hold(match: FaultMatch): Hold {
    const device = this.#device
    const end = device.faults.hold(match)
    return {
      get waiting() {
        return device.waiting((target) => matches(match, target))
      },
      release() {
        end()
        device.schedule()
      },
    }
  }

  /** Flips a bit of what is stored, in memory and on the device. */
  flip(path: string, position: number, bit = 0): void {
    const node = this.#device.tree.find(path)
    if (!(node instanceof VolatileFile)) throw new ErrnoError('ENOENT', path)
    node.flip(position, bit)
  }

  /** The power goes before step `step`, counted as `steps` is; operations then in flight happen in part or not at all. */
  stopAt(step: number): void {
    this.#device.stopStep = step
  }

  /** Power loss and a new start: what was not synced survives in part, as the seed has it. Faults and holds are over. */
  crash(): void {
    this.#start(true)
  }

  /** The end of the process and a new start: all that the kernel took is there. Faults and holds are over. */
  kill(): void {
    this.#start(false)
  }

  #start(isLost: boolean): void {
    this.#device.start(isLost)
    this.#disk = new MountedDisk(this.#device, this.#coldReads)
  }
}

export function lyingDisk(options: LyingDiskOptions): LyingDisk {
  return new LyingDisk(options)
}

type Node = VolatileFile | DirectoryNode<VolatileFile>

/** The disk of one power-on. */
class MountedDisk implements Disk {
  readonly #device: LyingDevice
  readonly #generation: number
  readonly #coldReads: number

  constructor(device: LyingDevice, coldReads: number) {
    this.#device = device
    this.#generation = device.generation
    this.#coldReads = coldReads
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    try {
      const found = await this.#look('open', path, () => this.#fileAt(path))
      if (found !== undefined && mode === 'create') throw new ErrnoError('EEXIST', path)
      if (found === undefined && mode === 'read') throw notFound(path)
      const node = found ?? (await this.#create(path))
      return new LyingFile(path, node, this.#device, { mode, coldReads: this.#coldReads })
    } catch (error) {
      throw storageError('open', path, error)
    }
  }

  readFile(path: string): Promise<Uint8Array | undefined> {
    return this.#look('read', path, () => this.#fileAt(path)?.content.slice())
  }

  async replaceFile(path: string, content: Uint8Array, names: NameSync = 'synced'): Promise<void> {
    const temporary = `${path}.tmp`
    try {
      const file = await this.open(temporary, 'write')
      try {
        if (file.size > 0) await file.truncate(0)
        await file.write([content], 0)
        await file.dataSync()
      } finally {
        await file.close()
      }
      await this.rename(temporary, path)
    } catch (error) {
      await this.unlink(temporary).catch(() => undefined)
      throw error
    }
    if (names === 'synced') await this.syncDirectory(parentOf(path))
  }

  status(path: string): Promise<FileStatus | undefined> {
    return this.#look('status', path, () => {
      const node = this.#device.tree.find(path)
      if (node === undefined) return undefined
      if (node instanceof DirectoryNode) return { size: 0, modifiedMs: 0, isDirectory: true }
      return { size: node.content.size, modifiedMs: node.modifiedMs, isDirectory: false }
    })
  }

  async rename(from: string, to: string): Promise<void> {
    const { tree, names } = this.#device
    const run = (): void => {
      const source = tree.place(from)
      const target = tree.place(to)
      tree.checkRename(source, target)
      if (source.node === target.node) return
      names.change([
        { directory: source.directory, name: source.name, node: undefined },
        { directory: target.directory, name: target.name, node: source.node },
      ])
      this.#forget(target.node)
    }
    await this.#do({ operation: 'rename', path: from, to, run })
  }

  async unlink(path: string): Promise<void> {
    const { tree, names } = this.#device
    const run = (): void => {
      if (!(tree.find(parentOf(path)) instanceof DirectoryNode)) return
      const place = tree.place(path)
      const node = tree.file(place)
      if (node === undefined) return
      names.change([{ directory: place.directory, name: place.name, node: undefined }])
      this.#forget(node)
    }
    await this.#do({ operation: 'unlink', path, run })
  }

  list(directory: string): Promise<string[]> {
    return this.#look('list', directory, () => [...this.#device.tree.directory(directory).entries.keys()].sort())
  }

  async makeDirectory(path: string): Promise<void> {
    const missing = await this.#look('status', path, () => this.#device.tree.missing(path))
    for (const one of missing) await this.#makeOne(one)
    for (const one of missing.toReversed()) await this.syncDirectory(parentOf(one))
  }

  async removeDirectory(path: string): Promise<void> {
    const node = await this.#look('status', path, () => this.#device.tree.find(path))
    if (node === undefined) return
    if (!(node instanceof DirectoryNode)) return await this.unlink(path)
    for (const name of [...node.entries.keys()]) await this.removeDirectory(`${path}/${name}`)
    const run = (): void => {
      const { directory, name } = this.#device.tree.place(path)
      if (node.entries.size > 0) throw new ErrnoError('ENOTEMPTY', path)
      this.#device.names.change([{ directory, name, node: undefined }])
    }
    await this.#do({ operation: 'removeDirectory', path, run })
  }

  async syncDirectory(path: string): Promise<void> {
    const { names, tree, failedDirectories } = this.#device
    const directory = await this.#look('open', path, () => tree.directory(path))
    const check = (): void => {
      const failure = failedDirectories.get(directory)
      if (failure !== undefined) throw failure
    }
    check()
    const covered = names.stepCount
    const run = (): void => {
      check() // it may have failed while this one waited
      names.sync(directory, covered)
    }
    try {
      await this.#device.do(this.#generation, { operation: 'syncDirectory', path, run })
    } catch (error) {
      if (hasCode(error, 'PAGELOG_STORAGE')) throw error
      const failed = finalError('sync', path, error)
      failedDirectories.set(directory, failed)
      throw failed
    }
  }

  freeSpace(path: string): Promise<number> {
    const { capacityBytes, usedBytes } = this.#device
    return this.#look('freeSpace', path, () => Math.max(0, capacityBytes - usedBytes))
  }

  async lock(path: string): Promise<FileLock> {
    const { locks } = this.#device
    const found = await this.#look('lock', path, () => this.#fileAt(path))
    const node = found ?? (await this.#create(path).catch((error: unknown) => throwStorageError('lock', path, error)))
    if (locks.has(node)) throw new PagelogError('PAGELOG_LOCKED', `${path} is locked`, { path })
    locks.add(node)
    const generation = this.#generation
    return {
      release: async () => {
        if (generation === this.#device.generation) locks.delete(node)
      },
    }
  }

  #fileAt(path: string): VolatileFile | undefined {
    const node = this.#device.tree.find(path)
    if (node instanceof DirectoryNode) throw new ErrnoError('EISDIR', path)
    return node
  }

  async #create(path: string): Promise<VolatileFile> {
    const { tree, names } = this.#device
    const run = (): VolatileFile => {
      const place = tree.place(path)
      const existing = tree.file(place)
      if (existing !== undefined) return existing
      const node = new VolatileFile(this.#device.nowMs())
      node.users++
      names.change([{ directory: place.directory, name: place.name, node }])
      return node
    }
    return await this.#device.do(this.#generation, { operation: 'create', path, run })
  }

  async #makeOne(path: string): Promise<void> {
    const { tree, names } = this.#device
    const run = (): void => {
      const { directory, name, node } = tree.place(path)
      if (node === undefined) names.change([{ directory, name, node: new DirectoryNode() }])
    }
    await this.#do({ operation: 'makeDirectory', path, run })
  }

  #look<T>(operation: Operation<T>['operation'], path: string, run: () => T): Promise<T> {
    return this.#do({ operation, path, run })
  }

  async #do<T>(operation: Operation<T>): Promise<T> {
    try {
      return await this.#device.do(this.#generation, operation)
    } catch (error) {
      throw storageError(operation.operation, operation.path, error)
    }
  }

  /** A name is gone. */
  #forget(node: Node | undefined): void {
    if (node instanceof VolatileFile) this.#device.drop(node)
  }
}

function throwStorageError(what: string, path: string, error: unknown): never {
  throw storageError(what, path, error)
}
