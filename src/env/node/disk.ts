/** The real disk: Node's file calls with our errors. Names, directories and small files; open files are file.ts. */
import { constants, fdatasync, close as fsClose, fstat, fsync, open } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileCalls } from '../../native/index.ts'
import type { Disk, File, FileLock, FileStatus, OpenMode } from '../disk.ts'
import { NodeFile } from './file.ts'
import { lockFile } from './file-lock.ts'
import { errnoOf, storageError } from './storage-error.ts'
import { PoolClass, poolSlots } from './thread-pool.ts'

class NodeDisk implements Disk {
  async open(path: string, mode: OpenMode): Promise<File> {
    const fd = await guarded('open', path, openWith(path, OPEN_FLAGS[mode]))
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

  async replaceFile(path: string, content: Uint8Array): Promise<void> {
    const temporary = `${path}.tmp`
    try {
      await writeFile(temporary, content)
      await syncPath(temporary, 'r+')
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined)
      throw storageError('replace', path, error)
    }
    await this.syncDirectory(dirname(path))
  }

  async status(path: string): Promise<FileStatus | undefined> {
    const found = await guarded('stat', path, orUndefined(stat(path)))
    return found && { size: found.size, modifiedMs: found.mtimeMs, isDirectory: found.isDirectory() }
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

  async makeDirectory(path: string): Promise<void> {
    await guarded('make', path, mkdir(path, { recursive: true }))
  }

  async removeDirectory(path: string): Promise<void> {
    await guarded('remove', path, rm(path, { recursive: true, force: true }))
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows opens no directories; its file systems journal their entries.
    if (process.platform === 'win32') return
    await guarded('sync', path, syncPath(path, 'r'))
  }

  async freeSpace(path: string): Promise<number> {
    const { bavail, bsize } = await guarded('measure', path, statfs(path))
    return bavail * bsize
  }

  lock(path: string): Promise<FileLock> {
    return lockFile(path, fileCalls)
  }
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

/** Opens, syncs and closes; counted as a sync in the pool. A directory gets fsync, since fdatasync promises less. */
async function syncPath(path: string, flags: string): Promise<void> {
  const fd = await openWith(path, flags)
  await new Promise<void>((resolve, reject) => {
    poolSlots.enter(PoolClass.DATA_SYNC, () => {
      const sync = flags === 'r' ? fsync : fdatasync
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
