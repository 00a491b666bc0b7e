import { describe, expect, test } from 'vitest'
import type { Disk, File } from '../../src/env/index.ts'
import { LyingDisk, SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const SEEDS = Array.from({ length: 200 }, (_, index) => index)
const turn = () => new Promise(setImmediate)

/** Runs on a machine of each seed, loses the power, and gives what is found afterwards. */
async function afterCrash<T>(
  before: (disk: Disk, machine: LyingDisk) => Promise<unknown>,
  after: (disk: Disk) => Promise<T>,
  revive: 'crash' | 'kill' = 'crash',
): Promise<T[]> {
  const found: T[] = []
  for (const seed of SEEDS) {
    const machine = new LyingDisk({ seed })
    await before(machine.disk, machine)
    machine[revive]()
    found.push(await after(machine.disk))
  }
  return found
}

const content = (disk: Disk) => disk.readFile('/file')
const names = (disk: Disk) => disk.list('/')

async function made(disk: Disk, size = 0): Promise<File> {
  const file = await disk.open('/file', 'write')
  if (size > 0) await file.write([filled(size, 1)], 0)
  await file.dataSync()
  await disk.syncDirectory('/')
  return file
}

describe('a power loss', () => {
  test('keeps all that was synced', async () => {
    const found = await afterCrash(async (disk) => {
      const file = await made(disk, 5000)
      await file.write([filled(3000, 2)], 4000)
      await file.dataSync()
      await disk.replaceFile('/other', bytes('x'))
    }, content)
    const expected = Buffer.concat([filled(4000, 1), filled(3000, 2)])
    expect(found.every((one) => expected.equals(one!))).toBe(true)
  })

  test('keeps any sectors of what was not synced, torn ones too, and never a byte that nobody wrote', async () => {
    const found = await afterCrash(async (disk) => {
      const file = await made(disk, 5000)
      await file.write([filled(3000, 2)], 4000)
      await file.write([filled(1000, 3)], 6000)
    }, content)
    const lengths = new Set(found.map((one) => one!.length))
    expect(lengths.size).toBeGreaterThan(5)
    let torn = 0
    let holes = 0
    for (const one of found) {
      expect(one!.length).toBeGreaterThanOrEqual(5000)
      one!.forEach((byte, at) => {
        const written = [at < 5000 ? 1 : 0, at >= 4000 && at < 7000 ? 2 : -1, at >= 6000 ? 3 : -1]
        if (!written.includes(byte)) throw new Error(`${byte} at ${at}`)
        if (byte === 0) holes++
        if (at % 512 !== 0 && at > 4000 && at !== 5000 && at !== 6000 && byte !== one![at - 1]) torn++
      })
    }
    expect(torn).toBeGreaterThan(10)
    expect(holes).toBeGreaterThan(1000)
  })

  test('loses names that were not synced, whatever became of their bytes', async () => {
    const found = await afterCrash(async (disk) => {
      const file = await disk.open('/file', 'write')
      await file.write([bytes('abc')], 0)
      await file.dataSync()
    }, content)
    expect(new Set(found.map((one) => one && Buffer.from(one).toString()))).toEqual(new Set([undefined, 'abc']))
  })

  test('may keep the name of a new file without its bytes', async () => {
    const found = await afterCrash(async (disk) => {
      const file = await disk.open('/file', 'write')
      await file.write([bytes('abc')], 0)
      await disk.syncDirectory('/')
    }, content)
    const texts = new Set(found.map((one) => Buffer.from(one!).toString()))
    expect(texts).toContain('')
    expect(texts).toContain('abc')
  })

  test('makes a rename happen or not', async () => {
    const found = await afterCrash(
      async (disk) => {
        await disk.replaceFile('/file', bytes('old'))
        await disk.replaceFile('/new', bytes('new'))
        await disk.rename('/new', '/file')
      },
      async (disk) => [...(await names(disk)), Buffer.from((await content(disk))!).toString()].join(),
    )
    expect(new Set(found)).toEqual(new Set(['file,new,old', 'file,new']))
  })

  test('keeps names in order or not, but none that builds on a lost one', async () => {
    const found = await afterCrash(
      async (disk) => {
        for (const name of ['a', 'b', 'c']) await disk.open(`/${name}`, 'write')
        await disk.rename('/a', '/d')
        await disk.unlink('/b')
      },
      async (disk) => (await names(disk)).join(''),
    )
    expect(new Set(found)).toEqual(new Set(['', 'a', 'b', 'c', 'd', 'ab', 'ac', 'bc', 'cd', 'bd', 'abc', 'bcd']))
  })

  test('keeps what a directory sync covers, with what that builds on', async () => {
    const found = await afterCrash(
      async (disk) => {
        await disk.makeDirectory('/one')
        await disk.makeDirectory('/two')
        await disk.open('/one/a', 'write')
        await disk.rename('/one/a', '/two/b')
        await disk.open('/one/c', 'write')
        await disk.syncDirectory('/two')
      },
      async (disk) => [await disk.list('/one'), await disk.list('/two')].join('|'),
    )
    expect(new Set(found)).toEqual(new Set(['|b', 'c|b']))
  })

  test('undoes a truncation or keeps it, and then what came after it may be there', async () => {
    const found = await afterCrash(async (disk) => {
      const file = await made(disk, 3000)
      await file.truncate(1000)
      await file.write([filled(500, 2)], 1000)
    }, content)
    const isUndone = (one: Uint8Array): boolean => one.length === 3000 && one.every((byte) => byte === 1)
    expect(found.some((one) => isUndone(one!))).toBe(true)
    for (const one of found) {
      if (isUndone(one!)) continue
      expect(one!.length).toBeLessThanOrEqual(1500)
      expect(one!.subarray(0, 1000).every((byte) => byte === 1)).toBe(true)
      expect(one!.subarray(1000).every((byte) => byte === 0 || byte === 2)).toBe(true)
    }
  })

  test('ends all that was opened before', async () => {
    const machine = new LyingDisk({ seed: 3 })
    const { disk } = machine
    const file = await made(disk, 100)
    const lock = await disk.lock('/.lock')
    const writing = file.write([filled(10, 2)], 100)
    const refused = expect(writing).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    machine.crash()
    await refused
    for (const call of [file.dataSync(), disk.list('/'), disk.unlink('/file'), file.read(new Uint8Array(1), 0)]) {
      await expect(call).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    }
    await file.close()
    await (await machine.disk.lock('/.lock')).release()
    await lock.release()
    expect((await machine.disk.readFile('/file'))!.length).toBeGreaterThanOrEqual(100)
  })
})

test('the end of the process loses nothing that the kernel has', async () => {
  const found = await afterCrash(
    async (disk) => {
      const file = await disk.open('/file', 'write')
      await file.write([filled(5000, 1)], 0)
      file.write([filled(5000, 2)], 5000).catch(() => {})
      await turn()
    },
    content,
    'kill',
  )
  const lengths = found.map((one) => one!.length)
  expect(Math.min(...lengths)).toBeGreaterThanOrEqual(5000)
  expect(lengths.some((length) => length > 5000 && length < 10_000)).toBe(true)
})

describe('the power goes at a step', () => {
  test('and no later one happens', async () => {
    const work = async (disk: Disk): Promise<void> => {
      await disk.replaceFile('/file', bytes('one'))
      await disk.replaceFile('/file', bytes('two'))
    }
    const whole = new LyingDisk({ seed: 4 })
    await work(whole.disk)
    expect(whole.log.of('write', 'dataSync', 'rename', 'syncDirectory').map(({ operation }) => operation)).toEqual([
      ...['write', 'dataSync', 'rename', 'syncDirectory'],
      ...['write', 'dataSync', 'rename', 'syncDirectory'],
    ])
    const found = new Set<string | undefined>()
    for (let run = 0; run < 10 * whole.steps; run++) {
      const machine = new LyingDisk({ seed: run })
      const step = 1 + (run % whole.steps)
      machine.stopAt(step)
      await expect(work(machine.disk)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      expect([machine.isOff, machine.steps]).toEqual([true, step - 1])
      machine.crash()
      const left = await machine.disk.readFile('/file')
      found.add(left && Buffer.from(left).toString())
    }
    expect(found).toEqual(new Set([undefined, 'one', 'two']))
  })
})

describe('a fault', () => {
  test('hits the n-th operation that matches, so many times', async () => {
    const machine = new LyingDisk({ seed: 5 })
    const file = await made(machine.disk)
    const fault = machine.inject({ operation: 'write', path: 'file', error: 'ENOSPC', nth: 2, times: 2 })
    const outcomes: string[] = []
    for (let count = 0; count < 5; count++) {
      outcomes.push(
        await file.write([bytes('x')], file.size).then(
          () => 'done',
          (error) => error.code,
        ),
      )
    }
    expect(outcomes).toEqual(['done', 'PAGELOG_DISK_FULL', 'PAGELOG_DISK_FULL', 'done', 'done'])
    expect(fault.hits).toBe(2)
    machine.inject({ operation: ['rename', 'unlink'], path: /^\/other/, error: 'EIO', times: Number.POSITIVE_INFINITY })
    await expect(machine.disk.rename('/file', '/other')).rejects.toMatchObject({ cause: { code: 'EIO' } })
    await expect(machine.disk.rename('/other', '/file')).rejects.toMatchObject({ cause: { code: 'EIO' } })
    await machine.disk.rename('/file', '/free')
  })

  test('of a write leaves the file in doubt and unusable', async () => {
    const machine = new LyingDisk({ seed: 6 })
    const file = await made(machine.disk)
    machine.inject({ operation: 'write', error: 'EIO' })
    const failure = await file.write([filled(1000, 1)], 0).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'PAGELOG_STORAGE', cause: { code: 'EIO' } })
    expect(file.size).toBeGreaterThan(0)
    await expect(file.write([bytes('x')], 0)).rejects.toBe(failure)
    await expect(file.dataSync()).rejects.toBe(failure)
  })

  test('that makes a write short has nothing of it kept', async () => {
    const machine = new LyingDisk({ seed: 7 })
    const file = await made(machine.disk, 100)
    machine.inject({ operation: 'write', error: 'short' })
    const [refused, next] = [file.write([filled(1000, 2)], 100), file.write([filled(10, 3)], 100)]
    await expect(refused).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    await next
    expect(file.size).toBe(110)
    expect(machine.log.of('truncate').length).toBe(1)
  })

  test('of a sync calls its pages clean: they are read until the power goes, and never synced again', async () => {
    let lost = 0
    for (const seed of SEEDS) {
      const machine = new LyingDisk({ seed })
      const file = await made(machine.disk, 100)
      await file.write([filled(2000, 2)], 100)
      machine.inject({ operation: 'dataSync', error: 'EIO' })
      await expect(file.dataSync()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      expect((await machine.disk.readFile('/file'))!.length).toBe(2100)
      const again = await machine.disk.open('/file', 'write')
      await again.dataSync()
      expect(machine.repeatedSyncs).toEqual(['/file'])
      machine.crash()
      const left = (await machine.disk.readFile('/file'))!
      if (left.length < 2100 || left.includes(0)) lost++
    }
    expect(lost).toBeGreaterThan(SEEDS.length / 2)
  })

  test('of a directory sync is final for all who wait for one or ask later, until the next start', async () => {
    const machine = new LyingDisk({ seed: 8 })
    const { disk } = machine
    machine.inject({ operation: 'syncDirectory', error: 'ENOSPC' })
    const all = [1, 2, 3].map(() => disk.syncDirectory('/').catch((error: unknown) => error))
    for (const failure of await Promise.all(all)) expect(failure).toMatchObject({ code: 'PAGELOG_STORAGE' })
    await expect(disk.syncDirectory('/')).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    const replaced = disk.replaceFile('/file', new Uint8Array(3))
    await expect(replaced).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', path: '/' })
    machine.crash()
    await machine.disk.syncDirectory('/')
  })

  test('flips one bit of what is read, or of what is stored', async () => {
    const machine = new LyingDisk({ seed: 9 })
    const file = await made(machine.disk, 100)
    machine.inject({ operation: 'read', path: 'file', error: 'flip' })
    const into = new Uint8Array(100)
    expect(file.tryRead(into, 0)).toBe(-1)
    await file.read(into, 0)
    expect(into.filter((byte) => byte !== 1).length).toBe(1)
    await file.read(into, 0)
    expect(into.every((byte) => byte === 1)).toBe(true)
    machine.flip('/file', 50, 3)
    machine.crash()
    expect((await machine.disk.readFile('/file'))![50]).toBe(1 ^ 8)
  })
})

test('a hold makes operations wait while others go on', async () => {
  const machine = new LyingDisk({ seed: 10 })
  const file = await made(machine.disk, 100)
  const hold = machine.hold({ operation: 'dataSync', path: 'file' })
  let isSynced = false
  const syncing = file.dataSync().then(() => {
    isSynced = true
  })
  await file.write([bytes('x')], 100)
  await machine.disk.replaceFile('/other', bytes('y'))
  expect([isSynced, hold.waiting]).toEqual([false, 1])
  hold.release()
  await syncing
})

test('the same seed does the same, another one does not', async () => {
  const run = async (seed: number): Promise<string> => {
    const machine = new LyingDisk({ seed })
    const files = await Promise.all(['a', 'b', 'c'].map((name) => machine.disk.open(`/${name}`, 'write')))
    await Promise.all(files.flatMap((file, index) => [file.write([filled(100 * index, 1)], 0), file.dataSync()]))
    machine.crash()
    return `${machine.log}\n${(await machine.disk.list('/')).join()}`
  }
  const traces = await Promise.all([1, 1, 2, 3, 4].map(run))
  expect(traces[0]).toBe(traces[1])
  expect(new Set(traces).size).toBeGreaterThan(2)
})

describe('VirtualClock', () => {
  test('runs timers in the order of their times, also those set meanwhile', () => {
    const clock = new VirtualClock(1000)
    const ran: string[] = []
    const note = (name: string) => () => ran.push(`${name}@${clock.monotonicMs()}`)
    clock.after(20, note('late'))
    clock.after(10, () => {
      note('early')()
      clock.after(5, note('inner'))
    })
    const cancelled = clock.after(1, note('never'))
    cancelled.cancel()
    const every = clock.every(8, note('every'))
    clock.advance(20)
    every.cancel()
    clock.advance(100)
    expect(ran).toEqual(['every@8', 'early@10', 'inner@15', 'every@16', 'late@20'])
    expect([clock.nowMs(), clock.monotonicMs(), clock.timerCount]).toEqual([1120, 120, 0])
    clock.setWall(5)
    clock.advance(1)
    expect([clock.nowMs(), clock.monotonicMs()]).toEqual([6, 121])
  })
})

describe('SeededRandom', () => {
  test('repeats itself by its seed and spreads evenly', () => {
    const draw = (seed: number) => {
      const random = new SeededRandom(seed)
      return [random.fraction(), random.below(1000), random.chance(0.5), ...random.bytes(8), random.fork().fraction()]
    }
    expect(draw(42)).toEqual(draw(42))
    expect(draw(42)).not.toEqual(draw(43))
    expect(draw(-1)).not.toEqual(draw(2 ** 40))
    const random = new SeededRandom(1)
    const counts = Array.from({ length: 10 }, () => 0)
    for (let index = 0; index < 10_000; index++) counts[random.below(10)]!++
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })
})
