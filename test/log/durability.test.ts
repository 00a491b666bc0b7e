import { stat } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Disk, File, SyncedWrite } from '../../src/env/index.ts'
import { onEachDisk } from './disks.ts'
import { batch, defaults, env, FailingDisk, openLog, readAll, storageError, temporaryDirectory } from './support.ts'

const value = new Uint8Array(100)

onEachDisk('group commit', () => {
  it('takes one fdatasync for many concurrent appends, and none of the directory', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.append({ value }, { durability: 'fsync' })
    failing.calls.length = 0
    await Promise.all(Array.from({ length: 256 }, () => log.append({ value }, { durability: 'fsync' })))
    expect(failing.count('dataSync')).toBeLessThanOrEqual(2)
    expect(failing.count('syncDirectory')).toBe(0)
    expect(log.recoveryPoint).toBe(257)
    failing.calls.length = 0
    await Promise.all(Array.from({ length: 256 }, () => log.appendBatch(batch(), 0).then(() => log.flush())))
    expect(failing.count('dataSync')).toBeLessThanOrEqual(3)
    expect(log.recoveryPoint).toBe(513)
    await log.close()
  })

  it('answers with flush.messages=1 only what is on the device', async () => {
    const failing = new FailingDisk()
    const settings = { ...defaults, flushMessages: 1 }
    const log = await openLog(await temporaryDirectory(), { env: failing.env, settings })
    const appends = Array.from({ length: 100 }, async () => {
      const { lastOffset } = await log.appendBatch(batch(), 0)
      expect(log.recoveryPoint).toBeGreaterThan(lastOffset)
    })
    await Promise.all(appends)
    expect(failing.count('dataSync')).toBeLessThanOrEqual(3)
    await log.close()
  })

  it('syncs nothing again after a failed sync', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.append({ value })
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () => log.append({ value }, { durability: 'fsync' })),
    )
    expect(outcomes.every((outcome) => outcome.status === 'rejected')).toBe(true)
    expect(failing.count('dataSync')).toBe(1)
    failing.fails = () => undefined
    await expect(log.flush()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await log.close()
    expect(failing.count('dataSync')).toBe(1)
  })
})

describe('an append that is durable', () => {
  /** Its writes are heard of with their sync, which waits for `release`, unless there is hurry. */
  function lazyDisk() {
    const disk = { isHeld: false, hurries: 0, release: () => {} }
    const open: Disk['open'] = async (path, mode) => {
      const file = await env.disk.open(path, mode)
      const writeSynced = (parts: readonly Uint8Array[], position: number): SyncedWrite => {
        if (!disk.isHeld) return file.writeSynced(parts, position)
        let hurry = (): void => {}
        const hurried = new Promise<void>((resolve) => {
          hurry = () => {
            disk.hurries++
            resolve()
          }
        })
        const released = new Promise<void>((resolve) => {
          disk.release = resolve
        })
        const wrote = file.write(parts, position)
        const written = Promise.race([hurried, released]).then(() => wrote)
        return { written, synced: released.then(() => wrote).then(() => file.dataSync()), hurry }
      }
      return new Proxy(file, {
        get: (target, name) => {
          if (name === 'writeSynced') return writeSynced
          const found = target[name as keyof File]
          return typeof found === 'function' ? found.bind(target) : found
        },
      })
    }
    const lazy = new Proxy(env.disk, {
      get: (target, name) => (name === 'open' ? open : Reflect.get(target, name)?.bind(target)),
    })
    return { disk, env: { ...env, disk: lazy } }
  }

  it('lets those that are not land and be answered before its sync is over', async () => {
    const lazy = lazyDisk()
    const log = await openLog(await temporaryDirectory(), { env: lazy.env })
    await log.append({ value }, { durability: 'fsync' })
    lazy.disk.isHeld = true
    const answered: string[] = []
    const append = (name: string, durability: 'os' | 'fsync') =>
      log.append({ value }, { durability }).then(() => answered.push(name))
    const first = append('first', 'fsync')
    await new Promise(setImmediate)
    const second = append('second', 'fsync') // shares the next sync, and can wait until then
    await new Promise(setImmediate)
    expect([lazy.disk.hurries, log.logEndOffset, answered]).toEqual([0, 1, []])
    await append('third', 'os')
    expect([lazy.disk.hurries, log.logEndOffset, answered]).toEqual([1, 4, ['third']])
    expect(log.recoveryPoint).toBe(1)
    lazy.disk.isHeld = false
    lazy.disk.release()
    await Promise.all([first, second])
    expect([answered, log.recoveryPoint]).toEqual([['third', 'first', 'second'], 4])
    await log.close()
  })

  it('shares its write with one that is not, which is answered before the sync', async () => {
    const lazy = lazyDisk()
    const log = await openLog(await temporaryDirectory(), { env: lazy.env })
    await log.append({ value }, { durability: 'fsync' })
    lazy.disk.isHeld = true
    const durable = log.append({ value }, { durability: 'fsync' })
    expect(await log.append({ value })).toMatchObject({ baseOffset: 2 })
    expect([log.logEndOffset, log.recoveryPoint]).toEqual([3, 1])
    lazy.disk.release()
    await durable
    expect(log.recoveryPoint).toBe(3)
    await log.close()
  })
})

it('a sealed segment gives back the blocks that were reserved for it', async () => {
  const directory = await temporaryDirectory()
  const settings = { ...defaults, segmentBytes: 8 << 20, preallocate: true }
  const log = await openLog(directory, { settings })
  const blocks = async (): Promise<number> => (await stat(`${directory}/00000000000000000000.log`)).blocks
  await log.appendBatch(batch({ value: 'v'.repeat(10_000) }), 0)
  const reserved = await blocks()
  log.configure({ ...settings, segmentBytes: 12_000 })
  await log.appendBatch(batch({ value: 'v'.repeat(10_000) }), 0)
  await log.flush()
  if (reserved * 512 >= 8 << 20) await expect.poll(blocks).toBeLessThan(reserved / 10) // where the platform can reserve
  expect((await readAll(log)).length).toBe(2)
  await log.close()
})
