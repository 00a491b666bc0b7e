/** Records as Node's and the web's streams. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import type { Log, LogRecord, RecordInput } from '../../src/log/index.ts'
import { waitFor } from '../wait-for.ts'
import { batch, defaults, FailingDisk, openLog, storageError, temporaryDirectory } from './support.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

async function filled(batches: number, count: number): Promise<Log> {
  const log = await openLog(await temporaryDirectory())
  for (let index = 0; index < batches; index++) await log.appendBatch(batch({ count }), 0)
  return log
}

async function valuesOf(log: Log): Promise<string[]> {
  const values: string[] = []
  for await (const { value } of log.records()) values.push(new TextDecoder().decode(value ?? undefined))
  return values
}

/** Turns of the event loop: whatever would go on by itself has gone on. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
}

describe('createReadStream', () => {
  it('gives every record and ends', async () => {
    const log = await filled(30, 7)
    const offsets: number[] = []
    for await (const record of log.createReadStream({ from: 3, maxBytes: 500 })) offsets.push(record.offset)
    expect(offsets).toEqual(range(3, 210))
    await log.close()
  })

  it('takes no more than its reader has room for', async () => {
    const log = await filled(200, 10)
    let taken = 0
    const slice = log.slice.bind(log)
    log.slice = (...args) => {
      taken++
      return slice(...args)
    }
    const stream = log.createReadStream({ maxBytes: 1, highWaterMark: 25 })
    stream.read(0)
    await waitFor(() => expect(stream.readableLength).toBe(25))
    const before = taken
    await settled()
    expect(taken).toBe(before)
    expect(taken).toBeLessThan(5)
    let count = 0
    for await (const _record of stream) count++
    expect(count).toBe(2000)
    await log.close()
  })

  it('waits for appends when it tails, and is destroyed without a trace', async () => {
    const log = await filled(1, 2)
    const stream = log.createReadStream({ tail: true })
    const offsets: number[] = []
    stream.on('data', (record: LogRecord) => offsets.push(record.offset))
    await waitFor(() => expect(offsets).toEqual([0, 1]))
    await log.append([{ value: text('a') }, { value: text('b') }])
    await waitFor(() => expect(offsets).toEqual([0, 1, 2, 3]))
    stream.destroy()
    await once(stream, 'close')
    await log.close()
  })

  it('is destroyed by what its reader meets', async () => {
    const log = await filled(1, 2)
    const outside = log.createReadStream({ from: 9 })
    outside.resume()
    expect((await once(outside, 'error'))[0]).toEqual(code('PAGELOG_OFFSET_OUT_OF_RANGE'))
    expect(outside.destroyed).toBe(true)
    const controller = new AbortController()
    const aborted = log.createReadStream({ tail: true, signal: controller.signal })
    aborted.resume()
    await settled()
    controller.abort()
    expect((await once(aborted, 'error'))[0]).toEqual(code('PAGELOG_ABORTED'))
    const closed = log.createReadStream({ tail: true })
    closed.resume()
    await settled()
    const failure = once(closed, 'error')
    await log.close()
    expect((await failure)[0]).toEqual(code('PAGELOG_CLOSED'))
  })
})

describe('createWriteStream', () => {
  it('appends every record in order, and is finished when all are on the device', async () => {
    const log = await openLog(await temporaryDirectory())
    const inputs = range(0, 5000).map((index): RecordInput => ({ value: text(`value ${index}`) }))
    await pipeline(Readable.from(inputs), log.createWriteStream())
    expect(log.recoveryPoint).toBe(5000)
    expect(await valuesOf(log)).toEqual(range(0, 5000).map((index) => `value ${index}`))
    await log.close()
  })

  it('says when it has no room, and puts what has gathered into few writes', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    failing.hold()
    const stream = log.createWriteStream({ highWaterMark: 100 })
    let accepted = 0
    while (stream.write({ value: text('a') })) accepted++
    expect(accepted).toBe(99)
    await settled()
    expect(stream.writableLength).toBe(100)
    expect(log.logEndOffset).toBe(0)
    const writes = failing.count('write')
    failing.release()
    await once(stream, 'drain')
    stream.end()
    await once(stream, 'finish')
    expect(log.logEndOffset).toBe(100)
    expect(failing.count('write') - writes).toBe(1)
    await log.close()
  })

  it('splits what has gathered into batches that a log takes', async () => {
    const log = await openLog(await temporaryDirectory())
    const stream = log.createWriteStream({ durability: 'fsync' })
    for (let index = 0; index < 60; index++) stream.write({ value: new Uint8Array(100_000) })
    stream.end()
    await once(stream, 'finish')
    expect(log.logEndOffset).toBe(60)
    expect(log.recoveryPoint).toBe(60)
    await log.close()
  })

  it('is destroyed by what an append meets', async () => {
    const log = await openLog(await temporaryDirectory())
    const wrong = log.createWriteStream()
    wrong.write({ value: 'text' })
    expect((await once(wrong, 'error'))[0]).toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    const large = log.createWriteStream()
    large.write({ value: new Uint8Array(2_000_000) })
    expect((await once(large, 'error'))[0]).toEqual(code('PAGELOG_TOO_LARGE'))
    expect(large.destroyed).toBe(true)
    const aborted = log.createWriteStream({ signal: AbortSignal.abort() })
    aborted.write({ value: text('a') })
    expect((await once(aborted, 'error'))[0]).toEqual(code('PAGELOG_ABORTED'))
    await log.close()
    const closed = log.createWriteStream()
    closed.write({ value: text('a') })
    expect((await once(closed, 'error'))[0]).toEqual(code('PAGELOG_CLOSED'))
  })

  it('is not finished when the last flush fails', async () => {
    const failing = new FailingDisk()
    const log = await openLog(await temporaryDirectory(), { env: failing.env })
    const stream = log.createWriteStream()
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    stream.end({ value: text('a') })
    expect((await once(stream, 'error'))[0]).toEqual(code('PAGELOG_STORAGE'))
    expect(stream.writableFinished).toBe(false)
    await log.close().catch(() => {})
  })
})

describe('readable and writable of the web', () => {
  it('carry every record from one log to another', async () => {
    const from = await filled(30, 7)
    const to = await openLog(await temporaryDirectory())
    const inputs = new TransformStream<LogRecord, RecordInput>({
      transform: ({ key, value, timestamp }, controller) => controller.enqueue({ key, value, timestamp }),
    })
    await from.readable({ from: 10, maxBytes: 300 }).pipeThrough(inputs).pipeTo(to.writable())
    expect(to.logEndOffset).toBe(200)
    expect(to.recoveryPoint).toBe(200)
    expect((await valuesOf(to)).every((value) => value === 'value')).toBe(true)
    await from.close()
    await to.close()
  })

  it('take no more than there is room for', async () => {
    const log = await filled(200, 10)
    let taken = 0
    const slice = log.slice.bind(log)
    log.slice = (...args) => {
      taken++
      return slice(...args)
    }
    const reader = log.readable({ maxBytes: 1, highWaterMark: 15 }).getReader()
    await settled()
    expect(taken).toBeLessThan(4)
    for (let offset = 0; offset < 100; offset++) expect((await reader.read()).value?.offset).toBe(offset)
    expect(taken).toBeLessThan(15)
    await reader.cancel()
    await log.close()

    const failing = new FailingDisk()
    const other = await openLog(await temporaryDirectory(), { env: failing.env })
    failing.hold()
    const writer = other.writable({ highWaterMark: 10 }).getWriter()
    let accepted = 0
    const writes = range(0, 100).map(() => writer.write({ value: text('a') }).then(() => accepted++))
    await settled()
    expect(accepted).toBeLessThan(25)
    failing.release()
    await Promise.all(writes)
    await writer.close()
    expect(other.logEndOffset).toBe(100)
    await other.close()
  })

  it('write no more at once than a batch may have', async () => {
    const settings = { ...defaults, maxMessageBytes: 2000 }
    const log = await openLog(await temporaryDirectory(), { settings })
    const records = range(0, 500).map((index) => ({ value: text(`${index}`.padEnd(100, '.')) }))
    await pipeline(Readable.from(records), log.createWriteStream())
    const writer = log.writable().getWriter()
    for (const record of records) void writer.write(record)
    await writer.close()
    expect((await valuesOf(log)).map((value) => Number.parseInt(value, 10))).toEqual([
      ...range(0, 500),
      ...range(0, 500),
    ])
    await log.close()
  })

  it('fail with what reading and appending meet', async () => {
    const log = await filled(1, 2)
    await expect(log.readable({ from: 9 }).getReader().read()).rejects.toEqual(code('PAGELOG_OFFSET_OUT_OF_RANGE'))
    const wrong = log.writable().getWriter()
    wrong.closed.catch(() => {})
    await expect(wrong.write({ value: 'text' } as unknown as RecordInput)).rejects.toEqual(
      code('PAGELOG_INVALID_ARGUMENT'),
    )
    const large = log.writable().getWriter()
    large.closed.catch(() => {})
    await large.write({ value: new Uint8Array(2_000_000) })
    await expect(large.close()).rejects.toEqual(code('PAGELOG_TOO_LARGE'))
    const cancelled = log.readable({ tail: true }).getReader()
    await cancelled.read()
    await cancelled.cancel()
    const dropped = log.writable().getWriter()
    dropped.closed.catch(() => {})
    await dropped.abort(new Error('enough'))
    await log.close()
  })
})
