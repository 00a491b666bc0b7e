/**
 * The disks that the tests of the engine run on. `onEachDisk` repeats what it is given on the real one, the one in memory
 * and the lying one; inside of it `env`, temporary directories and the file functions below belong to the disk whose
 * turn it is. Outside of it all is real.
 */
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe } from 'vitest'
import { type Disk, nodeEnv } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { LyingDisk } from '../../src/env/simulated/index.ts'

const realDisk = nodeEnv().disk

/** Undefined: the real one. */
let current: Disk | undefined
let directoryCount = 0
const realDirectories: string[] = []

afterEach(async () => {
  for (const directory of realDirectories.splice(0)) await fs.rm(directory, { recursive: true, force: true })
})

const makers: Record<string, () => Disk | undefined> = {
  real: () => undefined,
  memory: () => memoryDisk(),
  lying: () => new LyingDisk({ seed: 20261121 }).disk,
}

/** `describe`, once on every disk. */
export function onEachDisk(title: string, define: () => void): void {
  describe.each(Object.entries(makers))(`${title}, %s disk`, (_, make) => {
    beforeEach(() => {
      current = make()
    })
    afterEach(() => {
      current = undefined
    })
    define()
  })
}

/** The disk whose turn it is. */
export function currentDisk(): Disk {
  return current ?? realDisk
}

/** Empty; removed after the test. */
export async function temporaryDirectory(): Promise<string> {
  if (current !== undefined) {
    const directory = `/directory-${directoryCount++}`
    await current.makeDirectory(directory)
    return directory
  }
  const directory = await fs.mkdtemp(join(tmpdir(), 'pagelog-log-'))
  realDirectories.push(directory)
  return directory
}

/** As those of node:fs/promises, on the disk whose turn it is. */
export function readFile(path: string): Promise<Buffer<ArrayBuffer>>
export function readFile(path: string, encoding: 'utf8'): Promise<string>
export async function readFile(path: string, encoding?: 'utf8'): Promise<Buffer | string> {
  const content = current === undefined ? await fs.readFile(path) : await current.readFile(path)
  if (content === undefined) throw missing(path)
  return encoding === undefined ? Buffer.from(content) : Buffer.from(content).toString(encoding)
}

export async function writeFile(path: string, content: Uint8Array | string): Promise<void> {
  if (current === undefined) return await fs.writeFile(path, content)
  const file = await current.open(path, 'write')
  await file.truncate(0)
  await file.write([Buffer.from(content)], 0)
  await file.close()
}

export async function truncate(path: string, length: number): Promise<void> {
  if (current === undefined) return await fs.truncate(path, length)
  if ((await current.status(path)) === undefined) throw missing(path)
  const file = await current.open(path, 'write')
  await file.truncate(length)
  await file.close()
}

export async function unlink(path: string): Promise<void> {
  if (current === undefined) return await fs.unlink(path)
  if ((await current.status(path)) === undefined) throw missing(path)
  await current.unlink(path)
}

export async function copyFile(from: string, to: string): Promise<void> {
  await writeFile(to, await readFile(from))
}

export async function rename(from: string, to: string): Promise<void> {
  await currentDisk().rename(from, to)
}

export async function mkdir(path: string): Promise<void> {
  await currentDisk().makeDirectory(path)
}

export async function readdir(path: string): Promise<string[]> {
  return await currentDisk().list(path)
}

export async function stat(path: string): Promise<{ size: number }> {
  const status = await currentDisk().status(path)
  if (status === undefined) throw missing(path)
  return status
}

function missing(path: string): Error {
  return Object.assign(new Error(`ENOENT: no such file or directory, '${path}'`), { code: 'ENOENT' })
}
