import { execFileSync } from 'node:child_process'
import { openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { InvariantError } from '../../src/base/index.ts'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { NodeFile } from '../../src/env/node/file.ts'
import { PoolSlots } from '../../src/env/node/thread-pool.ts'
import { nativeAvailable } from '../../src/native/index.ts'
import { descriptorsOn, temporaryDirectory } from './temporary-directory.ts'

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)

async function openFile(content = ''): Promise<{ file: NodeFile; path: string }> {
  const path = join(temporaryDirectory(), 'file')
  writeFileSync(path, content)
  const file = (await nodeDisk.open(path, 'write')) as NodeFile
  onTestFinished(() => file.close())
  return { file, path }
}

describe('write', () => {
  test('puts the parts one after the other at the position and moves the size', async () => {
    const { file, path } = await openFile('0123456789')
    await file.write([bytes('ab'), bytes(''), bytes('cd'), bytes('ef')], 8)
    expect(file.size).toBe(14)
    await file.write([bytes('X')], 0)
    expect(file.size).toBe(14)
    expect(readFileSync(path, 'utf8')).toBe('X1234567abcdef')
  })

  test('writes more parts than the kernel takes in one call', async () => {
    const { file, path } = await openFile()
    const parts = Array.from({ length: 5000 }, (_, i) => filled(1 + (i % 5), i & 0xff))
    await file.write(parts, 3)
    const expected = Buffer.concat([filled(3, 0), ...parts])
    expect(file.size).toBe(expected.length)
    expect(readFileSync(path).equals(expected)).toBe(true)
  })

  test('of nothing does nothing', async () => {
    const { file, path } = await openFile('abc')
    await file.write([], 3)
    await file.write([bytes('')], 100)
    expect(statSync(path).size).toBe(3)
  })

  test('and truncate run in call order, however many are queued', async () => {
    const { file, path } = await openFile()
    // Long enough that, side by side, the truncation would overtake it.
    const all = [file.write([filled(16 << 20, 1)], 0), file.truncate(10), file.write([bytes('tail')], 10)]
    all.push(file.write([bytes('!')], 14), file.truncate(12))
    await Promise.all(all)
    expect(file.size).toBe(12)
    expect(readFileSync(path).toString('latin1')).toBe(`${'\x01'.repeat(10)}ta`)
  })

  test('refuses positions that are none', async () => {
    const { file } = await openFile()
    for (const position of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => file.write([bytes('x')], position)).toThrow(InvariantError)
      expect(() => file.truncate(position)).toThrow(InvariantError)
    }
  })

  test('to a file opened for reading fails and makes the file refuse everything after', async () => {
    const { path } = await openFile('abc')
    const file = await nodeDisk.open(path, 'read')
    const failures = await Promise.all(
      [file.write([bytes('x')], 3), file.write([bytes('y')], 3)].map((write) => write.catch((error: unknown) => error)),
    )
    for (const failure of failures) expect(failure).toMatchObject({ code: 'PAGELOG_STORAGE', path })
    await expect(file.write([bytes('z')], 3)).rejects.toBe(failures[0])
    await expect(file.dataSync()).rejects.toBe(failures[0])
    expect(await file.read(new Uint8Array(3), 0)).toBe(3)
    await file.close()
  })
})

// A file system of one MiB that only root may make.
describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)('on a full disk', () => {
  function smallDisk(): string {
    const directory = temporaryDirectory()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'pagelog-test', directory])
    onTestFinished(() => {
      execFileSync('umount', ['-l', directory]) // lazily: a failed test may have left a file open
    })
    return directory
  }

  test('a write that fits in part is refused and leaves the file as before, and room for smaller ones', async () => {
    const directory = smallDisk()
    const path = join(directory, 'file')
    const file = await nodeDisk.open(path, 'write')
    await file.write([filled(700_000, 1)], 0)
    const free = await nodeDisk.freeSpace(directory)
    const parts = Array.from({ length: 100 }, (_, i) => filled(6000, i))
    await expect(file.write(parts, 700_000)).rejects.toMatchObject({
      code: 'PAGELOG_DISK_FULL',
      path,
      position: 700_000,
      retriable: true,
      cause: { code: 'ENOSPC' },
    })
    expect(file.size).toBe(700_000)
    expect(statSync(path).size).toBe(700_000)
    expect(await nodeDisk.freeSpace(directory)).toBe(free)
    await file.write([bytes('fits')], 700_000)
    await file.dataSync()
    expect(readFileSync(path).subarray(700_000).toString()).toBe('fits')
    expect(readFileSync(path).subarray(0, 700_000).equals(filled(700_000, 1))).toBe(true)
    await file.close()
  })

  test('a write of which nothing fits is refused', async () => {
    const directory = smallDisk()
    const file = await nodeDisk.open(join(directory, 'file'), 'write')
    await file.write([filled(1 << 20, 1)], 0)
    await expect(file.write([bytes('x')], 1 << 20)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    await expect(file.write([bytes('x'), bytes('y')], 1 << 20)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect(statSync(file.path).size).toBe(1 << 20)
    await file.truncate(1000)
    await file.write([bytes('x')], 1000)
    await file.close()
  })

  test('writes queued behind the refused one are tried on their own', async () => {
    const directory = smallDisk()
    const file = await nodeDisk.open(join(directory, 'file'), 'write')
    const [large, small] = await Promise.allSettled([file.write([filled(2 << 20, 1)], 0), file.write([bytes('ab')], 0)])
    expect(large).toMatchObject({ status: 'rejected', reason: { code: 'PAGELOG_DISK_FULL' } })
    expect(small.status).toBe('fulfilled')
    expect(file.size).toBe(2)
    await file.close()
  })

  test('a half overwritten part of the file cannot be taken back: the storage has failed', async () => {
    const directory = smallDisk()
    const file = await nodeDisk.open(join(directory, 'file'), 'write')
    await file.write([filled(900_000, 1)], 0)
    await expect(file.write([filled(600_000, 2)], 800_000)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await expect(file.write([bytes('x')], 900_000)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await file.close()
  })

  test('replaceFile and makeDirectory say that the disk is full, the old content stays', async () => {
    const directory = smallDisk()
    const path = join(directory, 'checkpoint')
    await nodeDisk.replaceFile(path, bytes('old'))
    const filler = await nodeDisk.open(join(directory, 'filler'), 'write')
    await filler.write([filled((await nodeDisk.freeSpace(directory)) - 4096, 0)], 0)
    await expect(nodeDisk.replaceFile(path, filled(100_000, 7))).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect(readFileSync(path, 'utf8')).toBe('old')
    expect(await nodeDisk.list(directory)).toEqual(['checkpoint', 'filler'])
    await filler.close()
  })

  test('allocate says so before anything is written', async () => {
    const file = (await nodeDisk.open(join(smallDisk(), 'file'), 'write')) as NodeFile
    const allocated = file.allocate(0, 4 << 20)
    if (nativeAvailable) await expect(allocated).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    else await allocated
    expect(file.size).toBe(0)
    await file.close()
  })

  test('a file of tmpfs, which knows no reads without waiting, is still read', async () => {
    const file = await nodeDisk.open(join(smallDisk(), 'file'), 'write')
    await file.write([bytes('abc')], 0)
    const into = new Uint8Array(3)
    const count = file.tryRead(into, 0)
    if (count === -1) expect(await file.read(into, 0)).toBe(3)
    expect(Buffer.from(into).toString()).toBe('abc')
    await file.close()
  })
})

describe('read', () => {
  test('fills what it is given, and less only at the end of the file', async () => {
    const { file } = await openFile('0123456789')
    const into = new Uint8Array(4)
    expect(await file.read(into, 3)).toBe(4)
    expect(Buffer.from(into).toString()).toBe('3456')
    expect(await file.read(into, 8)).toBe(2)
    expect(await file.read(into, 10)).toBe(0)
    expect(await file.read(into, 1000)).toBe(0)
    expect(await file.read(new Uint8Array(0), 0)).toBe(0)
  })

  test('fails where the file cannot be read', async () => {
    const directory = temporaryDirectory()
    const file = new NodeFile(directory, openSync(directory, 'r'), 0)
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({
      code: 'PAGELOG_STORAGE',
      cause: { code: 'EISDIR' },
    })
    await file.close()
  })

  test('takes a slot of its class only while it runs', async () => {
    const { path } = await openFile('0123456789')
    const slots = new PoolSlots(4)
    const file = new NodeFile(path, openSync(path, 'r'), 10, { slots })
    const reads = Array.from({ length: 50 }, (_, i) => file.read(new Uint8Array(4), i % 5))
    expect([slots.held(1), slots.waiting(1)]).toEqual([1, 49])
    expect(new Set(await Promise.all(reads))).toEqual(new Set([4]))
    expect([slots.held(1), slots.waiting(1)]).toEqual([0, 0])
    await file.close()
  })
})

describe('tryRead', () => {
  test('answers all of the bytes, the rest of the file, or -1', async () => {
    const { file } = await openFile('0123456789')
    const into = new Uint8Array(4)
    for (const [position, whole] of [
      [2, 4],
      [8, 2],
      [10, 0],
      [50, 0],
    ] as const) {
      const count = file.tryRead(into, position)
      expect([whole, -1]).toContain(count)
      if (count > 0) expect(Buffer.from(into.subarray(0, count)).toString()).toBe('0123456789'.substr(position, whole))
    }
    if (!nativeAvailable) expect(file.tryRead(into, 0)).toBe(-1)
  })

  test('sees at once what was written', async () => {
    const { file } = await openFile()
    await file.write([bytes('fresh')], 0)
    const into = new Uint8Array(5)
    expect(file.tryRead(into, 0)).toBe(nativeAvailable ? 5 : -1)
    if (nativeAvailable) expect(Buffer.from(into).toString()).toBe('fresh')
  })
})

describe('dataSync', () => {
  test('syncs, also while writes are queued', async () => {
    const { file } = await openFile()
    await Promise.all([file.write([bytes('a')], 0), file.dataSync(), file.dataSync(), file.write([bytes('b')], 1)])
    expect(file.size).toBe(2)
  })

  test('that fails is final: every write and sync after it is refused with the same error', async () => {
    const file = new NodeFile('/dev/null', openSync('/dev/null', 'r+'), 0)
    const failure = await file.dataSync().catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'PAGELOG_STORAGE', path: '/dev/null', cause: { code: 'EINVAL' } })
    await expect(file.dataSync()).rejects.toBe(failure)
    await expect(file.write([bytes('x')], 0)).rejects.toBe(failure)
    await expect(file.truncate(0)).rejects.toBe(failure)
    await file.close()
  })
})

describe('allocate and dropCache', () => {
  test('change neither size nor content', async () => {
    const { file, path } = await openFile('0123456789')
    await file.allocate(0, 1 << 20)
    await file.allocate(0, 0)
    await file.dataSync()
    await file.dropCache(0, 10)
    await file.dropCache(0, 0)
    expect(file.size).toBe(10)
    expect(readFileSync(path, 'utf8')).toBe('0123456789')
  })
})

describe('close', () => {
  test('waits for regions, which stay readable meanwhile', async () => {
    const { file, path } = await openFile('0123456789')
    const region = file.region(2, 3)
    const other = file.region(0, 10)
    let closed = false
    const closing = file.close().then(() => {
      closed = true
    })
    region.release()
    const into = new Uint8Array(3)
    expect(await other.file.read(into, 2)).toBe(3)
    expect(other.file.tryRead(into, 2)).toBe(nativeAvailable ? 3 : -1)
    expect(descriptorsOn(path)).toBe(1)
    expect(closed).toBe(false)
    other.release()
    await closing
    expect(descriptorsOn(path)).toBe(0)
  })

  test('waits for calls in flight and queued, which end well', async () => {
    const { file, path } = await openFile('0123456789')
    const work = [file.write([bytes('ab')], 10), file.write([bytes('cd')], 12), file.truncate(13), file.dataSync()]
    const reads = Array.from({ length: 20 }, () => file.read(new Uint8Array(10), 0))
    await file.close()
    await Promise.all(work)
    expect(new Set(await Promise.all(reads))).toEqual(new Set([10]))
    expect(readFileSync(path, 'utf8')).toBe('0123456789abc')
    expect(descriptorsOn(path)).toBe(0)
  })

  test('is idempotent, and everything after it is refused', async () => {
    const { file } = await openFile('0123456789')
    await Promise.all([file.close(), file.close()])
    await file.close()
    const closed = { code: 'PAGELOG_CLOSED' }
    await expect(file.write([bytes('x')], 0)).rejects.toMatchObject(closed)
    await expect(file.truncate(0)).rejects.toMatchObject(closed)
    await expect(file.dataSync()).rejects.toMatchObject(closed)
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject(closed)
    await expect(file.allocate(0, 1)).rejects.toMatchObject(closed)
    await expect(file.dropCache(0, 1)).rejects.toMatchObject(closed)
    expect(() => file.tryRead(new Uint8Array(1), 0)).toThrow(expect.objectContaining(closed))
    expect(() => file.region(0, 1)).toThrow(expect.objectContaining(closed))
  })

  test('a region survives the deletion of its file', async () => {
    const { file, path } = await openFile('0123456789')
    const region = file.region(0, 10)
    await nodeDisk.unlink(path)
    const closing = file.close()
    expect(await region.file.read(new Uint8Array(10), 0)).toBe(10)
    region.release()
    await closing
  })

  test('a region released twice is a broken invariant', async () => {
    const { file } = await openFile('0123456789')
    const region = file.region(0, 10)
    region.release()
    expect(() => region.release()).toThrow(InvariantError)
  })
})
