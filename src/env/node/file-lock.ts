/**
 * A lock on a path, held by one process at a time. Two ways, which also keep each other out:
 *
 * - With the addon: an open-file-description lock (F_OFD_SETLK) on the file itself. It conflicts with the lock that
 *   Kafka takes on its `.lock`, and goes with the process whatever happens to it. The holder's mark is written into the
 *   file for those who have no addon.
 * - Plain JS: `path`.pid holds the holder's mark, put there whole by link(2), which fails when there is one. A mark whose
 *   process is gone is taken over. It cannot see a holder in another pid namespace, nor Kafka itself.
 *
 * A mark is one line: pid, start time of the process in clock ticks since boot (a pid alone may be somebody else's by
 * now), device and inode of the folder (a copy of the folder has the mark too, and is not what the process holds). Each way first makes its own mark, then looks for one of the other way, so two that start together
 * cannot both succeed; both may be refused.
 */
import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { link, open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { threadId } from 'node:worker_threads'
import { PagelogError } from '../../base/index.ts'
import type { FileCalls } from '../../native/index.ts'
import type { FileLock } from '../disk.ts'
import { isProcessAlive, processMark } from './processes.ts'
import { errnoOf, storageError } from './storage-error.ts'

/** Takes the lock or throws PAGELOG_LOCKED. `calls`: the addon's, undefined for the plain-JS way. */
export async function lockFile(path: string, calls: FileCalls | undefined): Promise<FileLock> {
  try {
    return calls ? await lockByKernel(path, calls) : await lockByMark(path)
  } catch (error) {
    throw storageError('lock', path, error)
  }
}

async function lockByKernel(path: string, calls: FileCalls): Promise<FileLock> {
  const handle = await openOrCreate(path)
  try {
    if (!calls.lock(handle.fd)) throw locked(path, await markIn(path))
    await putMarkInto(handle, path)
    const plainHolder = await markIn(`${path}.pid`)
    if (plainHolder !== undefined && (await isHeld(path, plainHolder))) {
      await handle.truncate(0)
      throw locked(path, plainHolder)
    }
  } catch (error) {
    await handle.close()
    throw error
  }
  return {
    release: once(async () => {
      // The file stays, as Kafka leaves it.
      await handle.truncate(0)
      await handle.close()
    }),
  }
}

async function lockByMark(path: string): Promise<FileLock> {
  const markPath = `${path}.pid`
  await (await openOrCreate(path)).close()
  const mark = await ownMark(path)
  if (!(await putMark(markPath, mark))) {
    const found = await textOf(markPath)
    const holder = markOf(found)
    if (holder !== undefined && (await isHeld(path, holder))) throw locked(path, holder)
    // Put there whole, so what is no mark was torn by a power failure.
    if (found !== undefined) await removeStale(markPath, found)
    if (!(await putMark(markPath, mark))) throw locked(path, await markIn(markPath))
  }
  const kernelHolder = await markIn(path)
  if (kernelHolder !== undefined && (await isHeld(path, kernelHolder))) {
    await unlink(markPath)
    throw locked(path, kernelHolder)
  }
  return { release: once(() => unlink(markPath)) }
}

/** The kernel's lock holds without the mark, so a full disk must not keep a broker from starting. */
async function putMarkInto(handle: FileHandle, path: string): Promise<void> {
  try {
    await handle.truncate(0)
    await handle.write(await ownMark(path), 0)
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error
  }
}

/** Puts a mark that others see only whole; false when there is one already. */
async function putMark(markPath: string, mark: string): Promise<boolean> {
  const temporary = temporaryName(markPath)
  await writeFile(temporary, mark)
  try {
    await link(temporary, markPath)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(temporary)
  }
}

/** Takes a dead holder's mark away, and gives it back if another process has put its own there meanwhile. */
async function removeStale(markPath: string, stale: string): Promise<void> {
  const aside = temporaryName(markPath)
  try {
    await rename(markPath, aside)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  if ((await textOf(aside)) !== stale) await link(aside, markPath).catch(() => undefined)
  await unlink(aside)
}

let temporaryNames = 0

function temporaryName(markPath: string): string {
  return `${markPath}.${process.pid}.${threadId}.${++temporaryNames}`
}

function openOrCreate(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT)
}

async function ownMark(path: string): Promise<string> {
  const { pid, startTicks } = await processMark(process.pid)
  return `${pid} ${startTicks} ${await placeOf(path)}\n`
}

/** Of the folder that a path is in. */
async function placeOf(path: string): Promise<string> {
  const { dev, ino } = await stat(dirname(path))
  return `${dev}:${ino}`
}

async function markIn(path: string): Promise<string | undefined> {
  return markOf(await textOf(path))
}

/** The text if it is a mark. */
function markOf(text: string | undefined): string | undefined {
  return text !== undefined && /^\d+ \d+ \d+:\d+\n$/.test(text) ? text : undefined
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Whether the mark was made in this folder, by a process that still runs. */
async function isHeld(path: string, mark: string): Promise<boolean> {
  const [pid, startTicks, place] = mark.trimEnd().split(' ') as [string, string, string]
  if (place !== (await placeOf(path))) return false
  return await isProcessAlive({ pid: Number(pid), startTicks: Number(startTicks) })
}

function locked(path: string, holder: string | undefined): PagelogError {
  const by = holder === undefined ? 'another process' : `process ${holder.split(' ')[0]}`
  return new PagelogError('PAGELOG_LOCKED', `${path} is locked by ${by}`, { path })
}

function once(release: () => Promise<void>): () => Promise<void> {
  let released: Promise<void> | undefined
  return () => {
    released ??= release()
    return released
  }
}
