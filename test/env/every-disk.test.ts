/** What `Disk` and `File` promise, of each disk there is. */
import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../src/base/index.ts'
import { type Disk, nodeEnv, type OpenMode } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { lyingDisk } from '../../src/env/simulated/index.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const text = async (disk: Disk, path: string): Promise<string> =>
  Buffer.from((await disk.readFile(path)) ?? []).toString()

interface Place {
  readonly disk: Disk
  readonly directory: string
}

const places: Record<string, () => Promise<Place>> = {
  real: async () => ({ disk: nodeEnv().disk, directory: temporaryDirectory() }),
  memory: async () => ({ disk: memoryDisk(), directory: '/' }),
  lying: async () => ({ disk: lyingDisk({ seed: 1 }).disk, directory: '/' }),
}

describe.each(Object.entries(places))('the %s disk', (_, place) => {
  test('opens files by mode', async () => {
    const { disk, directory } = await place()
    const path = `${directory}/file`
    await expect(disk.open(path, 'read')).rejects.toMatchObject({ code: 'PAGELOG_NOT_FOUND', path })
    const file = await disk.open(path, 'create')
    await file.write([bytes('abc')], 0)
    await expect(disk.open(path, 'create')).rejects.toMatchObject({
      code: 'PAGELOG_STORAGE',
      cause: { code: 'EEXIST' },
    })
    const again = await disk.open(path, 'write')
    expect(again.size).toBe(3)
    const reader = await disk.open(path, 'read')
    await expect(reader.write([bytes('x')], 0)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', path })
    for (const one of [file, again, reader]) await one.close()
    for (const mode of ['write', 'create'] as OpenMode[]) {
      const inNothing = disk.open(`${directory}/none/file`, mode)
      await expect(inNothing).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', cause: { code: 'ENOENT' } })
    }
    await expect(disk.open(directory, 'write')).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
  })

  test('writes parts at a position, reads them, and grows with zeros', async () => {
    const { disk, directory } = await place()
    const file = await disk.open(`${directory}/file`, 'write')
    await file.write([bytes('ab'), bytes(''), bytes('cd')], 5)
    await file.write([], 100)
    expect(file.size).toBe(9)
    const into = new Uint8Array(20)
    expect(await file.read(into, 0)).toBe(9)
    expect([...into.subarray(0, 9)]).toEqual([0, 0, 0, 0, 0, ...bytes('abcd')])
    expect(await file.read(into.subarray(0, 2), 6)).toBe(2)
    expect(await file.read(into, 9)).toBe(0)
    expect(await file.read(into, 1000)).toBe(0)
    const large = Buffer.concat(Array.from({ length: 300 }, (_, index) => filled(1000, index & 0xff)))
    await file.write([large.subarray(0, 100_000), large.subarray(100_000)], 9)
    const back = new Uint8Array(large.length)
    expect(await file.read(back, 9)).toBe(large.length)
    expect(large.equals(back)).toBe(true)
    for (const position of [-1, 0.5, Number.NaN]) {
      await expect((async () => file.write([bytes('x')], position))()).rejects.toThrow(InvariantError)
    }
    await file.close()
  })

  test('changes a file in the order of the calls', async () => {
    const { disk, directory } = await place()
    const file = await disk.open(`${directory}/file`, 'write')
    const all = [file.write([filled(1 << 20, 1)], 0), file.truncate(10), file.write([bytes('tail')], 10)]
    all.push(file.dataSync(), file.write([bytes('!')], 14), file.truncate(12), file.dataSync())
    await Promise.all(all)
    await file.truncate(15)
    const content = (await disk.readFile(`${directory}/file`))!
    expect([...content]).toEqual([...filled(10, 1), ...bytes('ta'), 0, 0, 0])
    await file.close()
  })

  test('writes and syncs in one go, also while other syncs run', async () => {
    const { disk, directory } = await place()
    const file = await disk.open(`${directory}/file`, 'write')
    const all: Promise<void>[] = []
    for (let position = 0; position < 20; position += 2) {
      const { written, synced } = file.writeSynced([bytes('a'), bytes('b')], position)
      all.push(written, synced, file.dataSync())
    }
    await Promise.all(all)
    expect([file.size, await text(disk, `${directory}/file`)]).toEqual([20, 'ab'.repeat(10)])
    await file.close()
    const late = file.writeSynced([bytes('x')], 20)
    await expect(late.written).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    await expect(late.synced).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })

  test('answers a read without waiting with all of the bytes or -1', async () => {
    const { disk, directory } = await place()
    const file = await disk.open(`${directory}/file`, 'write')
    await file.write([bytes('0123456789')], 0)
    const into = new Uint8Array(4)
    for (let round = 0; round < 20; round++) {
      for (const [position, whole] of [
        [2, 4],
        [8, 2],
        [10, 0],
      ] as const) {
        const count = file.tryRead(into, position)
        expect([whole, -1]).toContain(count)
        if (count > 0) expect(Buffer.from(into.subarray(0, count)).toString()).toBe('0123456789'.substr(position, 4))
      }
    }
    await file.close()
  })

  test('keeps a file open for its regions, also without its name', async () => {
    const { disk, directory } = await place()
    const path = `${directory}/file`
    const file = await disk.open(path, 'write')
    await file.write([bytes('0123456789')], 0)
    const region = file.region(2, 3)
    let isClosed = false
    const closing = file.close().then(() => {
      isClosed = true
    })
    await disk.unlink(path)
    await expect((async () => file.write([bytes('x')], 0))()).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    const into = new Uint8Array(3)
    expect(await region.file.read(into, region.position)).toBe(3)
    expect([Buffer.from(into).toString(), isClosed]).toEqual(['234', false])
    region.release()
    expect(() => region.release()).toThrow(InvariantError)
    await closing
    await file.close()
    await expect((async () => file.read(into, 0))()).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    expect(() => file.tryRead(into, 0)).toThrow(expect.objectContaining({ code: 'PAGELOG_CLOSED' }))
    expect(() => file.region(0, 1)).toThrow(expect.objectContaining({ code: 'PAGELOG_CLOSED' }))
  })

  test('knows names, directories and what is in them', async () => {
    const { disk, directory } = await place()
    await disk.makeDirectory(`${directory}/a/b`)
    await disk.makeDirectory(`${directory}/a/b`)
    await disk.replaceFile(`${directory}/a/two`, bytes('2'))
    await disk.replaceFile(`${directory}/a/one`, bytes('1'))
    await disk.replaceFile(`${directory}/a/one`, bytes('one'))
    expect(await disk.list(`${directory}/a`)).toEqual(['b', 'one', 'two'])
    expect(await disk.status(`${directory}/a/one`)).toMatchObject({ size: 3, isDirectory: false })
    expect(await disk.status(`${directory}/a/b`)).toMatchObject({ isDirectory: true })
    expect(await disk.status(`${directory}/a/c`)).toBeUndefined()
    expect(await disk.readFile(`${directory}/a/c`)).toBeUndefined()
    await disk.rename(`${directory}/a/two`, `${directory}/a/one`)
    expect(await text(disk, `${directory}/a/one`)).toBe('2')
    await disk.rename(`${directory}/a`, `${directory}/moved`)
    await disk.syncDirectory(directory)
    await disk.unlink(`${directory}/moved/two`)
    expect(await disk.list(`${directory}/moved`)).toEqual(['b', 'one'])
    await disk.removeDirectory(`${directory}/moved`)
    await disk.removeDirectory(`${directory}/moved`)
    expect(await disk.list(directory)).toEqual([])
  })

  test('refuses names that cannot be', async () => {
    const { disk, directory } = await place()
    await disk.replaceFile(`${directory}/file`, bytes('x'))
    await disk.makeDirectory(`${directory}/directory/inner`)
    const failed = (code: string) => ({ code: 'PAGELOG_STORAGE', cause: { code } })
    await expect(disk.rename(`${directory}/none`, `${directory}/x`)).rejects.toMatchObject(failed('ENOENT'))
    await expect(disk.rename(`${directory}/file`, `${directory}/directory`)).rejects.toMatchObject(failed('EISDIR'))
    await expect(disk.rename(`${directory}/directory`, `${directory}/file`)).rejects.toMatchObject(failed('ENOTDIR'))
    await expect(disk.list(`${directory}/none`)).rejects.toMatchObject(failed('ENOENT'))
    await expect(disk.list(`${directory}/file`)).rejects.toMatchObject(failed('ENOTDIR'))
    await expect(disk.makeDirectory(`${directory}/file/x`)).rejects.toMatchObject(failed('ENOTDIR'))
    await expect(disk.syncDirectory(`${directory}/none`)).rejects.toMatchObject(failed('ENOENT'))
    await expect(disk.unlink(`${directory}/directory`)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await expect(disk.readFile(`${directory}/directory`)).rejects.toMatchObject(failed('EISDIR'))
  })

  test('locks a path once at a time', async () => {
    const { disk, directory } = await place()
    const lock = await disk.lock(`${directory}/.lock`)
    await expect(disk.lock(`${directory}/.lock`)).rejects.toMatchObject({ code: 'PAGELOG_LOCKED' })
    await lock.release()
    await lock.release()
    await (await disk.lock(`${directory}/.lock`)).release()
    expect(await disk.list(directory)).toContain('.lock')
  })

  test('reserves without growing, and tells its free space', async () => {
    const { disk, directory } = await place()
    const file = await disk.open(`${directory}/file`, 'write')
    await file.allocate(0, 100_000)
    await file.dropCache(0, 10)
    expect(file.size).toBe(0)
    expect(await disk.freeSpace(directory)).toBeGreaterThan(0)
    await file.close()
  })
})

const full: Record<string, (capacityBytes: number) => Disk> = {
  memory: (capacityBytes) => memoryDisk({ capacityBytes }),
  lying: (capacityBytes) => lyingDisk({ seed: 2, capacityBytes }).disk,
}

describe.each(Object.entries(full))('a full %s disk', (_, make) => {
  test('refuses what does not fit and keeps the rest', async () => {
    const disk = make(1000)
    const file = await disk.open('/file', 'write')
    await file.write([filled(700, 1)], 0)
    await expect(file.write([filled(200, 2), filled(200, 2)], 700)).rejects.toMatchObject({
      code: 'PAGELOG_DISK_FULL',
      retriable: true,
      cause: { code: 'ENOSPC' },
    })
    expect([file.size, await disk.freeSpace('/')]).toEqual([700, 300])
    await expect(file.allocate(700, 400)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    await file.write([filled(300, 3)], 700)
    await file.dataSync()
    await expect(disk.replaceFile('/other', filled(10, 1))).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect(await disk.list('/')).toEqual(['file'])
    await file.truncate(500)
    await disk.replaceFile('/other', filled(10, 1))
    expect(await disk.freeSpace('/')).toBe(490)
    await file.close()
  })

  test('refuses what was to follow a refused write, with all of its error, and leaves no hole', async () => {
    const disk = make(1000)
    const file = await disk.open('/file', 'write')
    const sizes = [400, 700, 100, 100]
    let position = 0
    const writes = sizes.map((size) => {
      const written = file.write([filled(size, 1)], position)
      position += size
      return written
    })
    const outcomes = await Promise.allSettled(writes)
    const reasons = outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : undefined))
    expect(reasons.map((reason) => reason?.code)).toEqual([undefined, ...Array(3).fill('PAGELOG_DISK_FULL')])
    expect(file.size).toBe(400)
    const { written, synced } = file.writeSynced([filled(600, 2)], 400)
    await Promise.all([written, synced])
    expect(file.size).toBe(1000)
    await file.close()
  })

  test('gets the room back when the last name or handle of a file is gone', async () => {
    const disk = make(1000)
    const file = await disk.open('/file', 'write')
    await file.write([filled(600, 1)], 0)
    await disk.unlink('/file')
    expect(await disk.freeSpace('/')).toBe(400)
    await file.close()
    expect(await disk.freeSpace('/')).toBe(1000)
    await disk.makeDirectory('/directory')
    await disk.replaceFile('/directory/file', filled(100, 1))
    await disk.replaceFile('/directory/file', filled(200, 1))
    expect(await disk.freeSpace('/')).toBe(800)
    await disk.removeDirectory('/directory')
    expect(await disk.freeSpace('/')).toBe(1000)
  })
})
