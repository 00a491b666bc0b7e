/** What the real disk makes of system calls that fail: the calls are replaced one by one, the files are real. */
import type * as NodeFs from 'node:fs'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { temporaryDirectory } from './temporary-directory.ts'

type Callback = (error: NodeJS.ErrnoException | null, count?: number) => void

/** Per call, in order: an errno's name, a number of bytes after which a write stops short, or undefined: as it is. */
type Fault = string | number | undefined

const state = vi.hoisted(() => ({
  faults: {} as Record<string, Fault[]>,
  calls: [] as string[],
  paths: new Map<number, string>(),
  /** Held syncs, to be let go by the test. */
  held: undefined as (() => void)[] | undefined,
}))

/** Without the addon all calls are Node's; what becomes of failures of the addon's is in file-changes.test.ts. */
vi.mock('../../src/native/index.ts', async (original) => ({ ...(await original<object>()), fileCalls: undefined }))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof NodeFs>()
  const fault = (call: string, fd: number): Fault => {
    state.calls.push(`${call} ${state.paths.get(fd) ?? fd}`)
    return state.faults[call]?.shift()
  }
  const failed = (name: string): NodeJS.ErrnoException => Object.assign(new Error(name), { code: name })
  const syncWith = (name: string, sync: typeof real.fsync) => (fd: number, done: Callback) => {
    const found = fault(name, fd)
    const run = () => (found === undefined ? sync(fd, done) : setImmediate(done, failed(String(found))))
    if (state.held === undefined) run()
    else state.held.push(run)
  }
  return {
    ...real,
    open(path: string, flags: string | number, done: (error: Error | null, fd: number) => void) {
      real.open(path, flags, (error, fd) => {
        if (!error) state.paths.set(fd, path)
        done(error, fd)
      })
    },
    fsync: syncWith('fsync', real.fsync),
    fdatasync: syncWith('fdatasync', real.fdatasync),
    ftruncate(fd: number, size: number, done: Callback) {
      const found = fault('ftruncate', fd)
      if (found === undefined) real.ftruncate(fd, size, done)
      else setImmediate(done, failed(String(found)))
    },
    write(fd: number, bytes: Uint8Array, from: number, length: number, position: number, done: Callback) {
      const found = fault('write', fd)
      if (typeof found === 'string') setImmediate(done, failed(found))
      else real.write(fd, bytes, from, found ?? length, position, done)
    },
    writev(fd: number, parts: Uint8Array[], position: number, done: Callback) {
      const found = fault('writev', fd)
      if (typeof found === 'string') setImmediate(done, failed(found))
      else real.writev(fd, found === undefined ? parts : [Buffer.concat(parts).subarray(0, found)], position, done)
    },
  }
})

beforeEach(() => {
  state.faults = {}
  state.calls.length = 0
  state.held = undefined
})

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const called = (name: string): number => state.calls.filter((call) => call.startsWith(`${name} `)).length

async function openFile(content = '') {
  const path = join(temporaryDirectory(), 'file')
  writeFileSync(path, content)
  return { path, file: await nodeDisk.open(path, 'write') }
}

describe('a short write', () => {
  test('whose remainder meets a full disk is taken back and refused', async () => {
    const { file, path } = await openFile('before')
    state.faults = { writev: [4], write: ['ENOSPC'] }
    await expect(file.write([bytes('abc'), bytes('def')], 6)).rejects.toMatchObject({
      code: 'PAGELOG_DISK_FULL',
      retriable: true,
    })
    expect(readFileSync(path, 'utf8')).toBe('before')
    await file.write([bytes('ok')], 6)
    expect(readFileSync(path, 'utf8')).toBe('beforeok')
    await file.close()
  })

  test.each(['EIO', 'EROFS', 'EFBIG'])(
    'whose remainder meets %s is taken back, and the file is given up',
    async (name) => {
      const { file, path } = await openFile('before')
      state.faults = { writev: [4], write: [name] }
      await expect(file.write([bytes('abc'), bytes('def')], 6)).rejects.toMatchObject({
        code: 'PAGELOG_STORAGE',
        cause: { code: name },
      })
      expect(readFileSync(path, 'utf8')).toBe('before')
      await expect(file.write([bytes('x')], 6)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      await file.close()
    },
  )

  test('whose remainder has room after all, since others made some, is taken back and refused', async () => {
    const { file, path } = await openFile('before')
    state.faults = { write: [3] }
    await expect(file.write([bytes('abcdef')], 6)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL', retriable: true })
    expect(called('write')).toBe(2)
    expect(readFileSync(path, 'utf8')).toBe('before')
    await file.write([bytes('ok')], 6)
    expect(readFileSync(path, 'utf8')).toBe('beforeok')
    await file.close()
  })

  test('that cannot be taken back is no mere refusal, for whatever reason', async () => {
    for (const reason of ['ENOSPC', 'EIO']) {
      const { file } = await openFile('before')
      state.faults = { write: [3, 'ENOSPC'], ftruncate: [reason] }
      await expect(file.write([bytes('abcdef')], 6)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      await expect(file.write([bytes('x')], 6)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      await file.close()
    }
  })
})

describe('a failed sync', () => {
  test.each(['EIO', 'ENOSPC', 'EDQUOT'])(
    '(%s) of a file is never repeated, also not for those who wait',
    async (name) => {
      const { file } = await openFile('x')
      state.faults = { fdatasync: [name] }
      state.held = []
      const all = [file.dataSync(), file.dataSync(), file.dataSync()].map((sync) => sync.catch((error) => error))
      expect(state.held.length).toBe(1)
      state.held.shift()!()
      for (const failure of await Promise.all(all)) expect(failure).toMatchObject({ code: 'PAGELOG_STORAGE' })
      await expect(file.dataSync()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      await expect(file.write([bytes('y')], 1)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      expect(called('fdatasync')).toBe(1)
      await file.close()
    },
  )

  test.each(['EIO', 'ENOSPC'])('(%s) of a directory is final', async (name) => {
    state.faults = { fsync: [name] }
    const directory = temporaryDirectory()
    await expect(nodeDisk.syncDirectory(directory)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', path: directory })
    const replaced = nodeDisk.replaceFile(join(directory, 'checkpoint'), bytes('new'))
    await expect(replaced).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
  })

  test('of a directory is shared by all who wait for one, and never repeated', async () => {
    const directory = temporaryDirectory()
    state.faults = { fsync: ['EIO'] }
    const all = [1, 2, 3].map(() => nodeDisk.syncDirectory(directory).catch((error) => error))
    for (const failure of await Promise.all(all)) expect(failure).toMatchObject({ code: 'PAGELOG_STORAGE' })
    await expect(nodeDisk.syncDirectory(directory)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect(called('fsync')).toBe(1)
  })

  test('of the new content of a file leaves the old one', async () => {
    const path = join(temporaryDirectory(), 'checkpoint')
    writeFileSync(path, 'old')
    for (const [name, code] of [
      ['EIO', 'PAGELOG_STORAGE'],
      ['ENOSPC', 'PAGELOG_DISK_FULL'],
    ]) {
      state.faults = { fdatasync: [name] }
      await expect(nodeDisk.replaceFile(path, bytes('new'))).rejects.toMatchObject({ code })
      expect(readFileSync(path, 'utf8')).toBe('old')
      expect(await nodeDisk.list(join(path, '..'))).toEqual(['checkpoint'])
    }
  })
})

describe('syncs asked for together', () => {
  test('run one at a time, and those who ask meanwhile share the next', async () => {
    const { file } = await openFile('x')
    state.held = []
    const answered: string[] = []
    const ask = (name: string) => file.dataSync().then(() => answered.push(name))
    const all = [ask('first'), ask('second'), ask('third')]
    expect(state.held.length).toBe(1)
    state.held.shift()!()
    await all[0]
    expect(answered).toEqual(['first'])
    expect(state.held.length).toBe(1)
    state.held.shift()!()
    await Promise.all(all)
    expect(called('fdatasync')).toBe(2)
    await file.close()
  })
})

describe('syncs of a directory asked for together', () => {
  test('run one at a time, and those who ask meanwhile share the next', async () => {
    const directory = temporaryDirectory()
    await Promise.all(Array.from({ length: 10 }, () => nodeDisk.syncDirectory(directory)))
    expect(called('fsync')).toBe(2)
    await nodeDisk.syncDirectory(directory)
    expect(called('fsync')).toBe(3)
  })
})

describe('what is made durable', () => {
  test('replaceFile syncs the content before it renames, and the directory after', async () => {
    const directory = temporaryDirectory()
    await nodeDisk.replaceFile(join(directory, 'checkpoint'), bytes('new'))
    expect(state.calls.map((call) => call.replace(directory, ''))).toEqual([
      'write /checkpoint.tmp',
      'fdatasync /checkpoint.tmp',
      'fsync ',
    ])
    expect(statSync(join(directory, 'checkpoint')).size).toBe(3)
  })

  test('makeDirectory syncs every directory in which it makes a name, and no other', async () => {
    const directory = temporaryDirectory()
    const synced = () => state.calls.map((call) => call.replace(directory, ''))
    await nodeDisk.makeDirectory(join(directory, 'a', 'b'))
    expect(synced()).toEqual(['fsync /a', 'fsync '])
    state.calls.length = 0
    await nodeDisk.makeDirectory(join(directory, 'a', 'b'))
    expect(synced()).toEqual([])
    await nodeDisk.makeDirectory(relative('.', join(directory, 'a', 'c')))
    expect(synced()).toEqual(['fsync /a'])
  })
})
