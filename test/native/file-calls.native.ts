import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FileCalls } from '../../src/native/index.ts'
import { addon } from './implementations.ts'

const calls = addon.fileCalls as FileCalls
const loose = calls as unknown as Record<string, (...values: unknown[]) => unknown>
let directory: string
let fd: number
let fdOfWrites: number

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-file-calls-'))
  fd = openSync(join(directory, 'file'), 'w+')
  writeSync(fd, Buffer.from('0123456789'))
  fdOfWrites = openSync(join(directory, 'writes'), 'w+')
})

afterAll(() => {
  closeSync(fd)
  closeSync(fdOfWrites)
  rmSync(directory, { recursive: true })
})

describe('file calls', () => {
  test('tryRead answers what is in the page cache, fewer at the end of the file', () => {
    const into = new Uint8Array(6)
    expect(calls.tryRead(fd, into, 2)).toBe(6)
    expect(Buffer.from(into).toString()).toBe('234567')
    expect(calls.tryRead(fd, into, 8)).toBe(2)
    expect(calls.tryRead(fd, into, 10)).toBe(0)
    expect(calls.tryRead(fd, new Uint8Array(0), 0)).toBe(0)
  })

  test('tryRead answers -2 where it cannot', () => {
    expect(calls.tryRead(0x7fffffff, new Uint8Array(4), 0)).toBe(-2)
  })

  test('allocate reserves blocks and leaves the size', async () => {
    await calls.allocate(fd, 0, 1 << 20)
    const found = fstatSync(fd)
    expect(found.size).toBe(10)
    expect(found.blocks * 512).toBeGreaterThanOrEqual(1 << 20)
  })

  test('failures in the pool reject with the code of the system', async () => {
    await expect(calls.allocate(0x7fffffff, 0, 1)).rejects.toMatchObject({ code: 'EBADF', syscall: 'fallocate' })
    await expect(calls.allocate(fd, 0, 0)).rejects.toMatchObject({ code: 'EINVAL', errno: -22 })
    await expect(calls.dropCache(0x7fffffff, 0, 1)).rejects.toMatchObject({ code: 'EBADF', syscall: 'posix_fadvise' })
  })

  test('dropCache takes pages away, so that tryRead would wait or the kernel has kept them', async () => {
    await calls.dropCache(fd, 0, 10)
    expect([-1, 6]).toContain(calls.tryRead(fd, new Uint8Array(6), 0))
  })

  const write = (position: number, texts: string[], sync = false) => {
    const heard: unknown[] = []
    const over = new Promise<unknown[]>((resolve) => {
      const done = (error: NodeJS.ErrnoException | undefined, count: number): void => {
        heard.push(error?.code ?? count)
        if (!sync || error !== undefined || heard.length === 2) resolve(heard)
      }
      calls.write(
        fdOfWrites,
        texts.map((text) => Buffer.from(text)),
        position,
        sync,
        done,
      )
    })
    return over
  }

  test('writes happen in the order of the calls, many parts, none, and again with a sync', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => String(i % 10))
    const all = [write(0, ['aaaa']), write(2, ['bb', '', 'b']), write(5, many, true), write(9, []), write(5, ['c'])]
    expect(await Promise.all(all)).toEqual([[4], [3], [3000, 3000], [0], [1]])
    expect(readFileSync(join(directory, 'writes'), 'utf8')).toBe(`aabbbc${many.slice(1).join('')}`)
  })

  test('a write is heard of before its sync when there is hurry or another write, and in order', async () => {
    for (let round = 0; round < 50; round++) {
      const heard: string[] = []
      const done = (name: string) => () => heard.push(name)
      calls.write(fdOfWrites, [Buffer.from('x')], 0, true, done('a'))
      if (round % 2 === 0) calls.hurry(fdOfWrites)
      if (round % 5 === 0) await new Promise(setImmediate)
      calls.write(fdOfWrites, [Buffer.from('y')], 1, false, done('b'))
      await expect.poll(() => heard.length, { interval: 1 }).toBe(3)
      expect(heard.filter((name) => name === 'a').length).toBe(2)
      expect(heard.indexOf('a')).toBe(0)
    }
    calls.hurry(fdOfWrites)
    calls.hurry(0x7fffffff)
  })

  test('a write that fails takes along those behind it, and the next may go on', async () => {
    const path = join(directory, 'writes')
    ftruncateSync(fdOfWrites, 0)
    const heard: string[] = []
    const readOnly = openSync(path, 'r')
    const done = (name: string) => (error: NodeJS.ErrnoException | undefined) => heard.push(`${name} ${error?.code}`)
    calls.write(readOnly, [Buffer.from('x')], 0, true, done('first'))
    calls.write(readOnly, [Buffer.from('y')], 1, false, done('second'))
    await expect.poll(() => heard.length).toBe(2)
    calls.write(readOnly, [], 0, false, done('third'))
    await expect.poll(() => heard.length).toBe(3)
    expect(heard).toEqual(['first EBADF', 'second ECANCELED', 'third undefined'])
    closeSync(readOnly)
    expect(statSync(path).size).toBe(0)
  })

  test('refuses what is no write', () => {
    const part = Buffer.alloc(1)
    const done = (): void => {}
    for (const values of [
      ['1', [part], 0, false, done],
      [fd, part, 0, false, done],
      [fd, ['x'], 0, false, done],
      [fd, [new Uint16Array(1)], 0, false, done],
      [fd, [part], -1, false, done],
      [fd, [part], 0, 1, done],
      [fd, [part], 0, false],
      [],
    ]) {
      expect(() => loose.write!(...values)).toThrow(/must be|out of range|takes/)
    }
  })

  test('lock is exclusive between open files, and goes with the last close', () => {
    const path = join(directory, 'lock')
    const first = openSync(path, 'w+')
    const second = openSync(path, 'r+')
    expect(calls.lock(first)).toBe(true)
    expect(calls.lock(first)).toBe(true)
    expect(calls.lock(second)).toBe(false)
    closeSync(first)
    expect(calls.lock(second)).toBe(true)
    closeSync(second)
  })

  test('lock throws where there can be none', () => {
    expect(() => calls.lock(0x7fffffff)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })

  test('a duplicate is the same file under another number until it is closed', () => {
    const copy = calls.duplicate(fd)
    expect(copy).not.toBe(fd)
    expect(fstatSync(copy).ino).toBe(statSync(join(directory, 'file')).ino)
    expect(readlinkSync(`/proc/self/fd/${copy}`)).toBe(join(directory, 'file'))
    calls.close(copy)
    expect(() => fstatSync(copy)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })

  test('close refuses what duplicate has not made, so that no foreign descriptor is ever closed', () => {
    expect(() => calls.close(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
    const copy = calls.duplicate(fd)
    calls.close(copy)
    expect(() => calls.close(copy)).toThrow(expect.objectContaining({ code: 'EBADF' }))
    expect(fstatSync(fd).size).toBe(10)
  })

  test('duplicate of a closed number throws', () => {
    expect(() => calls.duplicate(0x7fffffff)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })

  test('sendRun refuses a socket that is not a duplicate, and a blocking descriptor', async () => {
    const nothing = new Uint8Array(0)
    const pieces = Float64Array.of(fd, 0, 1)
    expect(() => calls.sendRun(fd, nothing, pieces, 0)).toThrow(RangeError)
    const copy = calls.duplicate(fd)
    await expect(calls.sendRun(copy, nothing, pieces, 0)).rejects.toMatchObject({ code: 'EINVAL', syscall: 'sendfile' })
    calls.close(copy)
  })

  test('sendRun refuses pieces that are none', () => {
    const bytes = new Uint8Array(4)
    expect(() => loose.sendRun!(fd, bytes)).toThrow(/pieces must be a Float64Array/)
    expect(() => loose.sendRun!(fd, [], Float64Array.of(fd, 0, 1))).toThrow(/bytes must be a Uint8Array/)
    expect(() => loose.sendRun!(fd, bytes, [fd, 0, 1])).toThrow(/pieces must be a Float64Array/)
    expect(() => calls.sendRun(fd, bytes, Float64Array.of(fd, 0), 0)).toThrow(/three numbers each/)
    expect(() => calls.sendRun(fd, bytes, Float64Array.of(-2, 0, 1), 0)).toThrow(/a descriptor is out/)
    expect(() => calls.sendRun(fd, bytes, Float64Array.of(-1, 1, 4), 0)).toThrow(/ends beyond bytes/)
    expect(() => calls.sendRun(fd, bytes, Float64Array.of(-1, 0, 4), 101)).toThrow(/patienceMs is out/)
  })

  test('limitSendBuffer leaves alone what is no socket, and refuses what is no size', () => {
    expect(() => calls.limitSendBuffer(fd, 1024)).not.toThrow()
    for (const size of [0, -1, 0.5, 2 ** 31]) expect(() => calls.limitSendBuffer(fd, size)).toThrow(/bytes is out/)
  })

  test('acceptUnpaced leaves alone what is no socket', () => {
    expect(() => calls.acceptUnpaced(fd)).not.toThrow()
    expect(() => loose.acceptUnpaced!()).toThrow(TypeError)
  })

  test.each(['tryRead', 'allocate', 'dropCache', 'lock', 'duplicate', 'close'])(
    '%s refuses arguments that are none',
    (name) => {
      const call = loose[name]!
      expect(() => call()).toThrow(TypeError)
      expect(() => call('3', 1, 1, 1)).toThrow(TypeError)
      for (const number of [-1, 1.5, Number.NaN, 2 ** 31]) {
        expect(() => call(number, new Uint8Array(1), 1, 1)).toThrow(RangeError)
      }
    },
  )

  test('positions and lengths are whole numbers from 0 to 2^53 - 1', () => {
    for (const number of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => loose.tryRead!(fd, new Uint8Array(1), number)).toThrow(RangeError)
      expect(() => loose.allocate!(fd, number, 1)).toThrow(RangeError)
      expect(() => loose.dropCache!(fd, 1, number)).toThrow(RangeError)
      expect(() => calls.sendRun(fd, new Uint8Array(1), Float64Array.of(fd, number, 1), 0)).toThrow(/a position is out/)
      expect(() => calls.sendRun(fd, new Uint8Array(1), Float64Array.of(fd, 1, number), 0)).toThrow(/a length is out/)
    }
    expect(() => loose.tryRead!(fd, 'text', 0)).toThrow(TypeError)
    expect(() => loose.tryRead!(fd, new Uint8Array(1), 1n)).toThrow(TypeError)
  })
})
