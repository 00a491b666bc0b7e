/** The real disk: Node's file calls with our errors. Names, directories and small files; open files are file.ts. */
import { constants, fdatasync, close as fsClose, fstat, fsync, open } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, resolve as resolvePath } from 'node:path'
import { PagelogError } from '../../base/index.ts'
import { fileCalls } from '../../native/index.ts'
import type { Disk, File, FileLock, FileStatus, NameSync, OpenMode, ScannedFile, TailRule } from '../disk.ts'
import { scanDirectory } from './directory-scan.ts'
import { NodeFile } from './file.ts'
import { lockFile } from './file-lock.ts'
import { SharedSyncs } from './shared-syncs.ts'
import { errnoOf, finalError, storageError } from './storage-error.ts'
import { PoolClass, poolSlots } from './thread-pool.ts'
import { writeParts } from './write-parts.ts'

class NodeDisk implements Disk {
  readonly #directorySyncs = new SharedSyncs((path) => this.#syncDirectory(path))
  /** On which fsync failed; there are few, since what is in them is given up. */
  readonly #failedDirectories = new Map<string, PagelogError>()

  async open(path: string, mode: OpenMode): Promise<File> {
    const fd = await this.#open(path, mode)
    try {
      return new NodeFile(path, fd, await sizeOf(fd))
    } catch (error) {
      fsClose(fd)
      throw storageError('open', path, error)
    }
  }

  async readFile(path: string): Promise<Uint8Array | undefined> {
    return guarded('read', path, orUndefined(readFile(path)))
  }

  async replaceFile(path: string, content: Uint8Array, names: NameSync = 'synced'): Promise<void> {
    const temporary = `${path}.tmp`
    try {
      await writeSynced(temporary, content)
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined)
      throw storageError('replace', path, error)
    }
    if (names === 'synced') await this.syncDirectory(dirname(path))
  }

  async status(path: string): Promise<FileStatus | undefined> {
    const found = await guarded('stat', path, orUndefined(stat(path)))
    if (found === undefined) return undefined
    const { size, mtimeMs: modifiedMs, dev, ino } = found
    return { size, modifiedMs, isDirectory: found.isDirectory(), place: `${dev}:${ino}` }
  }

  async rename(from: string, to: string): Promise<void> {
    await guarded('rename', from, rename(from, to))
  }

  async unlink(path: string): Promise<void> {
    await guarded('unlink', path, orUndefined(unlink(path)))
  }

  async list(directory: string): Promise<string[]> {
    return (await guarded('list', directory, readdir(directory))).sort()
  }

  /** Only with the addon: callers do without it. */
  readonly scan: Disk['scan'] = fileCalls && scanFiles

  async makeDirectory(path: string): Promise<void> {
    const firstMade = await guarded('make', path, mkdir(path, { recursive: true }))
    if (firstMade === undefined) return
    const topmost = dirname(resolvePath(firstMade))
    let parent = resolvePath(path)
    do {
      parent = dirname(parent)
      await this.syncDirectory(parent)
    } while (parent !== topmost && parent !== dirname(parent))
  }

  async removeDirectory(path: string): Promise<void> {
    await guarded('remove', path, rm(path, { recursive: true, force: true }))
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows opens no directories; its file systems journal their entries.
    if (process.platform === 'win32') return
    await this.#directorySyncs.ask(path)
  }

  async freeSpace(path: string): Promise<number> {
    const { bavail, bsize } = await guarded('measure', path, statfs(path))
    return bavail * bsize
  }

  lock(path: string): Promise<FileLock> {
    return lockFile(path, fileCalls)
  }

  async #syncDirectory(path: string): Promise<void> {
    const failure = this.#failedDirectories.get(path)
    if (failure !== undefined) throw failure
    const fd = await guarded('open', path, openWith(path, 'r'))
    try {
      await syncAndClose(fd, fsync) // fdatasync promises less for a directory
    } catch (error) {
      // Even a full disk is final here: the kernel may have forgotten what it could not write (reliability L5).
      const failed = finalError('sync', path, error)
      this.#failedDirectories.set(path, failed)
      throw failed
    }
  }

  async #open(path: string, mode: OpenMode): Promise<number> {
    try {
      return await openWith(path, OPEN_FLAGS[mode])
    } catch (error) {
      if (mode !== 'read' || errnoOf(error) !== 'ENOENT') throw storageError('open', path, error)
      throw new PagelogError('PAGELOG_NOT_FOUND', `there is no file ${path}`, { cause: error, path })
    }
  }
}

function scanFiles(path: string, rules: readonly TailRule[]): Promise<ScannedFile[]> {
  return guarded('list', path, scanDirectory(fileCalls!, path, rules))
}

export const nodeDisk: Disk = new NodeDisk()

const OPEN_FLAGS: Record<OpenMode, string | number> = {
  read: 'r',
  write: constants.O_RDWR | constants.O_CREAT,
  create: 'wx+',
}

function openWith(path: string, flags: string | number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, (error, fd) => (error ? reject(error) : resolve(fd)))
  })
}

function sizeOf(fd: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fstat(fd, (error, found) => (error ? reject(error) : resolve(found.size)))
  })
}

/** A file with this content, on the device; its name in the directory is not. */
async function writeSynced(path: string, content: Uint8Array): Promise<void> {
  const fd = await openWith(path, 'w')
  try {
    await new Promise<void>((resolve, reject) => {
      writeParts({ fd, path, sizeBefore: 0 }, [content], 0, (error) => (error ? reject(error) : resolve()))
    })
  } catch (error) {
    fsClose(fd)
    throw error
  }
  await syncAndClose(fd, fdatasync)
}

/** Closes the descriptor whatever comes of the sync, which counts as one in the pool. */
function syncAndClose(fd: number, sync: typeof fsync): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    poolSlots.enter(PoolClass.DATA_SYNC, () => {
      sync(fd, (error) => {
        poolSlots.leave(PoolClass.DATA_SYNC)
        fsClose(fd, () => (error ? reject(error) : resolve()))
      })
    })
  })
}

async function guarded<T>(what: string, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw storageError(what, path, error)
  }
}

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
