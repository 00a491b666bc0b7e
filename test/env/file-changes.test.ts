/** What the real disk makes of the addon's writes that fail: the call is replaced, the file is real. */
import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NodeFile } from '../../src/env/node/file.ts'
import { PoolClass, PoolSlots } from '../../src/env/node/thread-pool.ts'
import type { FileCalls } from '../../src/native/index.ts'
import { temporaryDirectory } from './temporary-directory.ts'

type WriteCall = FileCalls['write']
type Done = Parameters<WriteCall>[4]

/** Of one call: bytes that reach the file, and the error then; `sync` is that of the fdatasync. */
interface Outcome {
  readonly taken?: number
  readonly error?: string
  readonly sync?: string
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const failed = (code: string) => Object.assign(new Error(code), { code })
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error) => error.code,
  )

/** As the addon: one after the other, a failed one gives back those behind it. `outcomes` in order, `go` lets them happen. */
class FakeCalls {
  readonly outcomes: Outcome[] = []
  syncs = 0
  hurries = 0
  #queue: { write: () => number; wantsSync: boolean; done: Done }[] = []

  readonly write: WriteCall = (fd, parts, position, sync, done) => {
    const write = (taken = Number.POSITIVE_INFINITY): number => {
      const all = Buffer.concat(parts)
      return taken === 0 || all.length === 0 ? 0 : writeSync(fd, all.subarray(0, taken), 0, undefined, position)
    }
    this.#queue.push({ write: () => write(this.outcomes[0]?.taken), wantsSync: sync, done })
  }

  readonly hurry = (): void => {
    this.hurries++
  }

  get queued(): number {
    return this.#queue.length
  }

  go(): void {
    for (;;) {
      const next = this.#queue.shift()
      if (next === undefined) return
      const count = next.write()
      const { error, sync } = this.outcomes.shift() ?? {}
      next.done(error === undefined ? undefined : failed(error), count)
      if (error !== undefined) {
        for (const one of this.#queue.splice(0)) one.done(failed('ECANCELED'), -1)
        return
      }
      if (!next.wantsSync) continue
      this.syncs++
      next.done(sync === undefined ? undefined : failed(sync), count)
    }
  }
}

function openFile(content = 'before') {
  const path = join(temporaryDirectory(), 'file')
  writeFileSync(path, content)
  const calls = new FakeCalls()
  const slots = new PoolSlots(8)
  const outside = { slots, calls: calls as unknown as FileCalls }
  const file = new NodeFile(path, openSync(path, 'r+'), content.length, outside)
  return { file, calls, slots, text: () => readFileSync(path, 'utf8') }
}

test('writes do not wait for each other, a truncation waits for all of them', async () => {
  const { file, calls, text } = openFile()
  const all = [file.write([bytes('a')], 6), file.write([bytes('b'), bytes('c')], 7)]
  expect(calls.queued).toBe(2)
  const cut = file.truncate(8)
  all.push(file.write([bytes('d')], 8))
  expect(calls.queued).toBe(2)
  calls.go()
  await cut
  expect([file.size, text(), calls.queued]).toEqual([8, 'beforeab', 1])
  calls.go()
  await Promise.all(all)
  expect(text()).toBe('beforeabd')
  await file.close()
})

test.each(['ENOSPC', 'EIO'])(
  'a write that %s ends half-way is taken back, with all that were to follow it',
  async (code) => {
    const { file, calls, text } = openFile()
    calls.outcomes.push({}, { taken: 2, error: code })
    const outcomes = [file.write([bytes('one')], 6), file.write([bytes('two')], 9), file.write([bytes('three')], 12)]
    const codes = Promise.all(outcomes.map(codeOf))
    calls.go()
    // Asked for before the failure was told.
    const late = codeOf(file.write([bytes('four')], 17))
    const refused = code === 'EIO' ? 'PAGELOG_STORAGE' : 'PAGELOG_DISK_FULL'
    expect([...(await codes), await late]).toEqual(['done', refused, refused, refused])
    expect([text(), file.size, calls.queued]).toEqual(['beforeone', 9, 0])
    const next = codeOf(file.write([bytes('2')], 9))
    calls.go()
    expect(await next).toBe(code === 'EIO' ? 'PAGELOG_STORAGE' : 'done')
    await file.close()
  },
)

test('a write within the file is tried although one before it was refused', async () => {
  const { file, calls, text } = openFile()
  calls.outcomes.push({ taken: 0, error: 'EDQUOT' })
  const codes = Promise.all([file.write([bytes('more')], 6), file.write([bytes('B')], 0)].map(codeOf))
  calls.go()
  await expect.poll(() => calls.queued).toBe(1)
  calls.go()
  expect(await codes).toEqual(['PAGELOG_DISK_FULL', 'done'])
  expect(text()).toBe('Before')
  await file.close()
})

test('a write brings its sync along, in one call that holds a slot; other syncs wait for it', async () => {
  const { file, calls, slots } = openFile()
  const { written, synced, hurry } = file.writeSynced([bytes('x')], 6)
  hurry()
  expect(calls.hurries).toBe(1)
  expect([calls.queued, slots.held(PoolClass.DATA_SYNC)]).toEqual([1, 1])
  const other = file.writeSynced([bytes('y')], 7)
  let isOtherSynced = false
  void other.synced.then(() => {
    isOtherSynced = true
  })
  await new Promise(setImmediate)
  expect(isOtherSynced).toBe(false)
  calls.go()
  await Promise.all([written, synced, other.written, other.synced])
  hurry()
  expect(calls.hurries).toBe(1)
  expect([calls.syncs, slots.held(PoolClass.DATA_SYNC)]).toEqual([1, 0])
  await file.close()
})

test('what was not written is not synced, and the next sync is free', async () => {
  const { file, calls, slots } = openFile()
  calls.outcomes.push({ taken: 0, error: 'ENOSPC' })
  const { written, synced } = file.writeSynced([bytes('x')], 6)
  calls.go()
  expect([await codeOf(written), await codeOf(synced)]).toEqual(['PAGELOG_DISK_FULL', 'PAGELOG_DISK_FULL'])
  expect([calls.syncs, slots.held(PoolClass.DATA_SYNC)]).toEqual([0, 0])
  await file.dataSync()
  await file.close()
})

test.each(['EIO', 'ENOSPC'])('a sync that fails with %s is final, also when it came with a write', async (code) => {
  const { file, calls, slots } = openFile()
  calls.outcomes.push({ sync: code })
  const { written, synced } = file.writeSynced([bytes('x')], 6)
  const waiting = codeOf(file.dataSync())
  calls.go()
  expect([await codeOf(written), await codeOf(synced), await waiting]).toEqual([
    'done',
    'PAGELOG_STORAGE',
    'PAGELOG_STORAGE',
  ])
  expect(await codeOf(file.write([bytes('y')], 7))).toBe('PAGELOG_STORAGE')
  const again = file.writeSynced([bytes('y')], 7)
  expect([await codeOf(again.written), await codeOf(again.synced)]).toEqual(['PAGELOG_STORAGE', 'PAGELOG_STORAGE'])
  expect([calls.syncs, slots.held(PoolClass.DATA_SYNC)]).toEqual([1, 0])
  await file.close()
})

test('a file is closed when its last write and sync are over', async () => {
  const { file, calls, text } = openFile()
  const { synced } = file.writeSynced([bytes('x')], 6)
  let isClosed = false
  const closing = file.close().then(() => {
    isClosed = true
  })
  await new Promise(setImmediate)
  expect(isClosed).toBe(false)
  calls.go()
  await Promise.all([synced, closing])
  expect(text()).toBe('beforex')
})
