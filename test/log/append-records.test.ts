/** `Log.append`: what programs that embed a log give it, and what becomes of it. */
import { describe, expect, it } from 'vitest'
import type { Log, RecordInput } from '../../src/log/index.ts'
import { batch, defaults, diskFull, env, FailingDisk, openLog, storageError, temporaryDirectory } from './support.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

async function stored(log: Log) {
  const records = []
  for await (const { offset, timestamp, key, value, headers } of log.records()) {
    const decode = (bytes: Uint8Array | null) => bytes && new TextDecoder().decode(bytes)
    records.push({ offset, timestamp, key: decode(key), value: decode(value), headers: headers.length })
  }
  return records
}

async function batchSizes(log: Log): Promise<number[]> {
  const counts = []
  for await (const one of log.read()) counts.push(one.recordCount)
  return counts
}

describe('append', () => {
  it('takes one record, an array of records or the bytes of a batch, in the order of the calls', async () => {
    const log = await openLog(await temporaryDirectory())
    const headers = [{ key: 'h', value: text('x') }]
    const results = await Promise.all([
      log.append({ value: text('one'), timestamp: 5 }),
      log.append([
        { key: text('k'), value: text('two'), timestamp: 9, headers },
        { key: text('k'), value: null, timestamp: 7 },
      ]),
      log.append(batch({ count: 2, value: 'bytes', timestampMs: 3 })),
      log.append({ timestamp: 1 }),
    ])
    expect(results).toEqual([
      { baseOffset: 0, lastOffset: 0, timestamp: 5, duplicate: false, logAppendTimeMs: -1 },
      { baseOffset: 1, lastOffset: 2, timestamp: 9, duplicate: false, logAppendTimeMs: -1 },
      { baseOffset: 3, lastOffset: 4, timestamp: 3, duplicate: false, logAppendTimeMs: -1 },
      { baseOffset: 5, lastOffset: 5, timestamp: 1, duplicate: false, logAppendTimeMs: -1 },
    ])
    expect(await stored(log)).toEqual([
      { offset: 0, timestamp: 5, key: null, value: 'one', headers: 0 },
      { offset: 1, timestamp: 9, key: 'k', value: 'two', headers: 1 },
      { offset: 2, timestamp: 7, key: 'k', value: null, headers: 0 },
      { offset: 3, timestamp: 3, key: null, value: 'bytes', headers: 0 },
      { offset: 4, timestamp: 3, key: null, value: 'bytes', headers: 0 },
      { offset: 5, timestamp: 1, key: null, value: null, headers: 0 },
    ])
    await log.close()
  })

  it('gives records the time of the clock, or all of them that of the append', async () => {
    let now = 1000
    const clock = { ...env.clock, nowMs: () => now++ }
    const log = await openLog(await temporaryDirectory(), { env: { ...env, clock } })
    const before = now
    const { timestamp } = await log.append([{ value: text('a') }, { value: text('b') }])
    expect(timestamp).toBeGreaterThanOrEqual(before)
    await log.close()
    const settings = { ...defaults, messageTimestampType: 'LogAppendTime' }
    const other = await openLog(await temporaryDirectory(), { env: { ...env, clock }, settings })
    const result = await other.append({ value: text('a'), timestamp: 5 })
    expect(result.timestamp).toBe(result.logAppendTimeMs)
    expect(result.timestamp).toBeGreaterThanOrEqual(before)
    expect((await stored(other))[0]!.timestamp).toBe(result.timestamp)
    await other.close()
  })

  it('copies records before it returns: their bytes may be used again at once', async () => {
    const log = await openLog(await temporaryDirectory())
    const value = new Uint8Array(10)
    const appends = Array.from({ length: 100 }, (_, index) => {
      value.fill(index)
      return log.append({ value })
    })
    const results = await Promise.all(appends)
    expect(results.map((result) => result.baseOffset)).toEqual(Array.from({ length: 100 }, (_, index) => index))
    let at = 0
    for await (const record of log.records()) expect(record.value).toEqual(new Uint8Array(10).fill(at++))
    expect(at).toBe(100)
    await log.close()
  })

  it('puts appends that wait for a write into one batch, and each call wholly into one', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.append({ value: text('first') })
    const writes = failing.count('write')
    failing.hold()
    const appends = [log.append({ value: text('in flight') })]
    for (let index = 0; index < 200; index++) appends.push(log.append([{ value: text('a') }, { value: text('b') }]))
    failing.release()
    const results = await Promise.all(appends)
    expect(results.map(({ baseOffset }) => baseOffset)).toEqual([
      1,
      ...Array.from({ length: 200 }, (_, i) => 2 + 2 * i),
    ])
    expect(results.at(-1)!.lastOffset).toBe(401)
    expect(failing.count('write') - writes).toBeLessThanOrEqual(2)
    const sizes = await batchSizes(log)
    expect(sizes.length).toBeLessThanOrEqual(3)
    expect(sizes.at(-1)).toBeGreaterThanOrEqual(400)
    await log.close()
  })

  it('keeps many logs apart that encode at the same time', async () => {
    const logs = await Promise.all(Array.from({ length: 8 }, async () => openLog(await temporaryDirectory())))
    const appends = []
    for (let index = 0; index < 400; index++) {
      const at = index % logs.length
      const value = text(`${at} ${'x'.repeat((index * 37) % 3000)}`)
      appends.push(logs[at]!.append([{ value }, { value }]))
    }
    await Promise.all(appends)
    for (const [at, log] of logs.entries()) {
      const records = await stored(log)
      expect(records.length).toBe(100)
      for (const { value } of records) expect(value).toMatch(new RegExp(`^${at} x*$`))
      await log.close()
    }
  })

  it('takes a batch as large as it may be, and none above', async () => {
    const settings = { ...defaults, maxMessageBytes: 100_000 }
    const log = await openLog(await temporaryDirectory(), { settings })
    const overhead = 61 + 3 + 1 + 1 + 1 + 1 + 3 + 1
    await log.append({ value: new Uint8Array(100_000 - overhead) })
    expect(log.size).toBe(100_000)
    const behind = log.append({ value: text('behind') })
    const tooLarge = log.append({ value: new Uint8Array(100_001 - overhead) })
    const next = log.append({ value: text('next') })
    await expect(tooLarge).rejects.toEqual(code('PAGELOG_TOO_LARGE'))
    expect((await behind).baseOffset).toBe(1)
    expect((await next).baseOffset).toBe(2)
    const many = Array.from({ length: 2000 }, () => ({ value: new Uint8Array(60) }))
    await expect(log.append(many)).rejects.toEqual(code('PAGELOG_TOO_LARGE'))
    await expect(log.append(batch({ value: 'v'.repeat(100_000) }))).rejects.toEqual(code('PAGELOG_TOO_LARGE'))
    // Above what may wait as well: to try that again would be in vain.
    await expect(log.append({ value: new Uint8Array(270_000_000) })).rejects.toEqual(code('PAGELOG_TOO_LARGE'))
    expect(log.logEndOffset).toBe(3)
    await log.close()
  })
})

describe("append with durability 'fsync'", () => {
  it('is answered after fsync, and appends that wait share one', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.flush()
    const before = failing.count('dataSync')
    const { baseOffset } = await log.append({ value: text('a') }, { durability: 'fsync' })
    expect(baseOffset).toBe(0)
    expect(log.recoveryPoint).toBe(1)
    expect(failing.count('dataSync')).toBe(before + 1)
    const appends = Array.from({ length: 50 }, (_, index) =>
      log.append({ value: text('b') }, { durability: index % 2 === 0 ? 'fsync' : 'os' }),
    )
    appends.push(log.append(batch(), { durability: 'fsync' }))
    await Promise.all(appends)
    expect(log.recoveryPoint).toBe(52)
    expect(failing.count('dataSync')).toBeLessThanOrEqual(before + 4)
    await log.close()
  })

  it('rejects when fsync fails, and the log is offline', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    const durable = log.append({ value: text('a') }, { durability: 'fsync' })
    const other = log.append(batch(), { durability: 'fsync' })
    await expect(durable).rejects.toEqual(code('PAGELOG_STORAGE'))
    await expect(other).rejects.toEqual(code('PAGELOG_STORAGE'))
    await expect(log.append({ value: text('b') })).rejects.toEqual(code('PAGELOG_STORAGE'))
    await log.close().catch(() => {})
  })
})

describe('append refuses', () => {
  it('what is no record', async () => {
    const log = await openLog(await temporaryDirectory())
    const wrong: unknown[] = [
      undefined,
      null,
      'text',
      7,
      [],
      [null],
      [{ value: text('good') }, { value: 'text' }],
      { value: 'text' },
      { key: 5 },
      { key: new ArrayBuffer(4) },
      { value: text('a'), timestamp: -1 },
      { value: text('a'), timestamp: Number.NaN },
      { value: text('a'), timestamp: 1.5 },
      { value: text('a'), headers: 'h' },
      { value: text('a'), headers: [null] },
      { value: text('a'), headers: [{ key: 1, value: null }] },
      { value: text('a'), headers: [{ key: 'a', value: 'b' }] },
    ]
    for (const one of wrong) {
      await expect(log.append(one as RecordInput), JSON.stringify(one)).rejects.toEqual(
        code('PAGELOG_INVALID_ARGUMENT'),
      )
    }
    const good = { value: text('good') }
    await expect(log.append(good, { durability: 'disk' as 'os' })).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    expect((await log.append(good)).baseOffset).toBe(0)
    await log.close()
  })

  it('bytes that are not exactly one sound batch', async () => {
    const log = await openLog(await temporaryDirectory())
    const good = batch({ count: 3 })
    for (let length = 0; length < good.length; length++) {
      await expect(log.append(good.slice(0, length))).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    }
    for (let at = 8; at < good.length; at++) {
      if (at >= 12 && at < 16) continue // the leader epoch is the log's to write
      const damaged = good.slice()
      damaged[at]! ^= 0x10
      await expect(log.append(damaged), `byte ${at}`).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    }
    const two = new Uint8Array([...good, ...good])
    await expect(log.append(two)).rejects.toThrow(/something follows it/)
    expect(log.logEndOffset).toBe(0)
    expect((await log.append(good)).lastOffset).toBe(2)
    await log.close()
  })

  it('everything once the log is closed; what was queued before is written', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory)
    const appends = Array.from({ length: 20 }, () => log.append({ value: text('a') }))
    const closing = log.close()
    await expect(log.append({ value: text('late') })).rejects.toEqual(code('PAGELOG_CLOSED'))
    await expect(log.append(batch())).rejects.toEqual(code('PAGELOG_CLOSED'))
    expect((await Promise.all(appends)).at(-1)!.lastOffset).toBe(19)
    await closing
    const again = await openLog(directory, { cleanShutdown: true })
    expect(again.logEndOffset).toBe(20)
    await again.close()
  })

  it('more than 256 MiB that nobody waited for', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    failing.hold()
    const value = new Uint8Array(1_000_000)
    const appends: Promise<unknown>[] = []
    const outcome: string[] = []
    for (let index = 0; index < 300; index++) {
      const settled = log.append({ value }).then(
        () => 'appended',
        (error) => error.code as string,
      )
      appends.push(settled.then((one) => outcome.push(one)))
    }
    failing.fails = (operation, path) => (operation === 'write' ? diskFull(path) : undefined)
    failing.release()
    await Promise.all(appends)
    expect(outcome.filter((one) => one === 'PAGELOG_BUFFER_FULL').length).toBe(300 - 268)
    failing.fails = () => undefined
    expect((await log.append({ value })).baseOffset).toBe(0)
    await log.close()
  }, 20_000)

  it('with a full disk all that waits, keeps nothing of it, and goes on when there is room', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    await log.append({ value: text('kept') })
    failing.hold()
    failing.fails = (operation, path) => (operation === 'write' ? diskFull(path) : undefined)
    const appends = Array.from({ length: 10 }, () => log.append({ value: text('refused') }))
    failing.release()
    for (const append of appends) await expect(append).rejects.toEqual(code('PAGELOG_DISK_FULL'))
    failing.fails = () => undefined
    expect((await log.append({ value: text('next') })).baseOffset).toBe(1)
    expect((await stored(log)).map(({ value }) => value)).toEqual(['kept', 'next'])
    await log.close()
  })
})

describe('append with a signal', () => {
  it('appends nothing when it was aborted before', async () => {
    const log = await openLog(await temporaryDirectory())
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    const rejection = expect.objectContaining({ code: 'PAGELOG_ABORTED', cause: reason })
    await expect(log.append({ value: text('a') }, { signal })).rejects.toEqual(rejection)
    await expect(log.append(batch(), { signal })).rejects.toEqual(rejection)
    expect((await log.append({ value: text('b') })).baseOffset).toBe(0)
    await log.close()
  })

  it('rejects at once when it is aborted on the way, and the records may be appended still', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    failing.hold()
    const controller = new AbortController()
    const aborted = log.append({ value: text('a') }, { signal: controller.signal })
    const other = log.append({ value: text('b') })
    controller.abort()
    await expect(aborted).rejects.toEqual(code('PAGELOG_ABORTED'))
    failing.release()
    expect((await other).baseOffset).toBe(1)
    expect(log.logEndOffset).toBe(2)
    await log.close()
  })

  it('leaves no listener behind', async () => {
    const log = await openLog(await temporaryDirectory())
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    await Promise.all(Array.from({ length: 10 }, () => log.append({ value: text('a') }, { signal })))
    await expect(log.append({ value: new Uint8Array(2_000_000) }, { signal })).rejects.toEqual(
      code('PAGELOG_TOO_LARGE'),
    )
    await Promise.resolve()
    expect(listeners).toBe(0)
    await log.close()
  })
})
