/**
 * A disk in memory: for tests, and for whoever wants a log that ends with the process. It holds at most
 * `capacityBytes`, refuses what is more as a full disk does, and forgets nothing until it is garbage itself: closed logs
 * open again on the same object.
 */
import { PagelogError } from '../../base/index.ts'
import type { Clock } from '../clock.ts'
import type { Disk, File, FileLock, FileStatus, OpenMode } from '../disk.ts'
import { nodeClock } from '../node/clock.ts'
import { storageError } from '../node/storage-error.ts'
import { DirectoryNode, DirectoryTree, parentOf } from './directory-tree.ts'
import { ErrnoError } from './errno.ts'
import { FileNode, type FileOwner, MemoryFile } from './memory-file.ts'
import { Turns } from './turns.ts'

const CAPACITY_BYTES = 1024 * 1024 * 1024
/** Files and directories: names take memory, too. */
const ENTRIES_MAX = 1_000_000

export interface MemoryDiskOptions {
  /** 1 GiB by default. */
  readonly capacityBytes?: number
  readonly clock?: Pick<Clock, 'nowMs' | 'soon'>
}

export class MemoryDisk implements Disk {
  /** May be changed at any time; below what is used, the disk is full. */
  capacityBytes: number
  readonly #tree = new DirectoryTree<FileNode>()
  readonly #turns: Turns
  readonly #owner: FileOwner
  readonly #nowMs: () => number
  readonly #locks = new Set<FileNode>()
  #usedBytes = 0
  #entries = 0

  constructor(options: MemoryDiskOptions = {}) {
    const { capacityBytes = CAPACITY_BYTES, clock = nodeClock } = options
    this.capacityBytes = capacityBytes
    this.#turns = new Turns(clock)
    this.#nowMs = () => clock.nowMs()
    this.#owner = {
      turns: this.#turns,
      nowMs: this.#nowMs,
      charge: (bytes, path) => this.#charge(bytes, path),
      drop: (node) => this.#drop(node),
    }
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  open(path: string, mode: OpenMode): Promise<File> {
    return this.#do('open', path, () => {
      const place = this.#tree.place(path)
      const found = this.#tree.file(place)
      if (found === undefined && mode === 'read') throw notFound(path)
      if (found !== undefined && mode === 'create') throw new ErrnoError('EEXIST', path)
      return new MemoryFile(path, found ?? this.#newFile(path), mode, this.#owner)
    })
  }

  readFile(path: string): Promise<Uint8Array | undefined> {
    return this.#do('read', path, () => {
      const node = this.#tree.find(path)
      if (node instanceof DirectoryNode) throw new ErrnoError('EISDIR', path)
      return node?.content.slice()
    })
  }

  async replaceFile(path: string, content: Uint8Array): Promise<void> {
    await this.#do('replace', path, () => {
      const place = this.#tree.place(path)
      const replaced = this.#tree.file(place)
      this.#charge(content.length, path)
      const node = new FileNode(this.#nowMs())
      node.content.write(content, 0)
      if (replaced === undefined) this.#addEntry(path)
      else this.#drop(replaced)
      node.users++
      place.directory.entries.set(place.name, node)
    })
  }

  status(path: string): Promise<FileStatus | undefined> {
    return this.#do('stat', path, () => {
      const node = this.#tree.find(path)
      if (node === undefined) return undefined
      if (node instanceof DirectoryNode) return { size: 0, modifiedMs: 0, isDirectory: true }
      return { size: node.content.size, modifiedMs: node.modifiedMs, isDirectory: false }
    })
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#do('rename', from, () => {
      const source = this.#tree.place(from)
      const target = this.#tree.place(to)
      this.#tree.checkRename(source, target)
      if (source.node === target.node) return
      if (target.node !== undefined) this.#forget(target.node)
      source.directory.entries.delete(source.name)
      target.directory.entries.set(target.name, source.node!)
    })
  }

  async unlink(path: string): Promise<void> {
    await this.#do('unlink', path, () => {
      if (!(this.#tree.find(parentOf(path)) instanceof DirectoryNode)) return
      const place = this.#tree.place(path)
      const node = this.#tree.file(place)
      if (node === undefined) return
      place.directory.entries.delete(place.name)
      this.#forget(node)
    })
  }

  list(directory: string): Promise<string[]> {
    return this.#do('list', directory, () => [...this.#tree.directory(directory).entries.keys()].sort())
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#do('make', path, () => {
      for (const missing of this.#tree.missing(path)) {
        this.#addEntry(path)
        const { directory, name } = this.#tree.place(missing)
        directory.entries.set(name, new DirectoryNode())
      }
    })
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#do('remove', path, () => {
      const node = this.#tree.find(path)
      if (node === undefined) return
      const { directory, name } = this.#tree.place(path)
      directory.entries.delete(name)
      this.#forget(node)
    })
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#do('sync', path, () => this.#tree.directory(path))
  }

  async freeSpace(): Promise<number> {
    return Math.max(0, this.capacityBytes - this.#usedBytes)
  }

  lock(path: string): Promise<FileLock> {
    return this.#do('lock', path, () => {
      const node = this.#tree.file(this.#tree.place(path)) ?? this.#newFile(path)
      if (this.#locks.has(node)) throw new PagelogError('PAGELOG_LOCKED', `${path} is locked`, { path })
      this.#locks.add(node)
      return {
        release: async () => {
          this.#locks.delete(node)
        },
      }
    })
  }

  async #do<T>(what: string, path: string, work: () => T): Promise<T> {
    try {
      return await this.#turns.run(work)
    } catch (error) {
      throw storageError(what, path, error)
    }
  }

  #newFile(path: string): FileNode {
    this.#addEntry(path)
    const node = new FileNode(this.#nowMs())
    node.users++
    const { directory, name } = this.#tree.place(path)
    directory.entries.set(name, node)
    return node
  }

  #addEntry(path: string): void {
    if (this.#entries >= ENTRIES_MAX) throw new ErrnoError('ENOSPC', path)
    this.#entries++
  }

  /** The name of `node` is gone, with all that is in it. */
  #forget(node: FileNode | DirectoryNode<FileNode>): void {
    this.#entries--
    if (node instanceof DirectoryNode) for (const inner of node.entries.values()) this.#forget(inner)
    else this.#drop(node)
  }

  /** A name or a handle of `node` is gone. */
  #drop(node: FileNode): void {
    node.users--
    if (node.users === 0) this.#usedBytes -= node.usedBytes
  }

  #charge(bytes: number, path: string): void {
    if (bytes > 0 && this.#usedBytes + bytes > this.capacityBytes) throw new ErrnoError('ENOSPC', path)
    this.#usedBytes += bytes
  }
}

/** As every disk says it of a file that was to be read. */
export function notFound(path: string): PagelogError {
  const cause = new ErrnoError('ENOENT', path)
  return new PagelogError('PAGELOG_NOT_FOUND', `there is no file ${path}`, { cause, path })
}

export function memoryDisk(options?: MemoryDiskOptions): MemoryDisk {
  return new MemoryDisk(options)
}
