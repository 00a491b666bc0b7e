/** `Log.read`, `records` and `readAt`. */
import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Log, ReadOptions, RecordBatch } from '../../src/log/index.ts'
import { RecordCursor } from '../../src/log/index.ts'
import { BATCH_HEADER_BYTES, Compression, compressBatch, crc32c, loadCodec } from '../../src/record/index.ts'
import { batch, defaults, env, FailingDisk, openLog, storageError, temporaryDirectory } from './support.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const decode = (value: Uint8Array | null): string => new TextDecoder().decode(value ?? undefined)

/** `batches` of three records; timestamps 1000, 1001, … by batch. */
async function filled(batches = 50, settings = { ...defaults, indexIntervalBytes: 300 }, disk = env.disk) {
  const directory = await temporaryDirectory()
  const log = await openLog(directory, { settings, env: { ...env, disk } })
  for (let index = 0; index < batches; index++) {
    await log.appendBatch(batch({ count: 3, value: `value ${index}`, timestampMs: 1000 + index }), 0)
  }
  return { log, directory }
}

async function offsetsOf(log: Log, options: ReadOptions = {}): Promise<number[]> {
  const offsets: number[] = []
  for await (const one of log.read(options)) for (const record of one) offsets.push(record.offset)
  return offsets
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

/** A disk whose page cache is empty: every read has to wait. */
function coldDisk(): typeof env.disk {
  const { disk } = new FailingDisk()
  const open: typeof disk.open = async (path, mode) => {
    const file = await disk.open(path, mode)
    file.tryRead = () => -1
    return file
  }
  return { ...disk, open }
}

describe('read', () => {
  it('passes over batches that compaction has emptied, also when nothing else is in a chunk', async () => {
    const empty = batch().slice(0, BATCH_HEADER_BYTES)
    const view = new DataView(empty.buffer)
    view.setInt32(8, BATCH_HEADER_BYTES - 12)
    view.setInt32(57, 0) // records
    view.setUint32(17, crc32c(empty, 21, empty.length))
    const log = await openLog(await temporaryDirectory(), { settings: { ...defaults, indexIntervalBytes: 0 } })
    for (const one of [empty, empty, batch(), empty, empty, empty, batch(), empty])
      await log.appendBatch(one.slice(), 0)
    for (const maxBytes of [1, 100, 200, 100_000]) expect(await offsetsOf(log, { maxBytes })).toEqual([2, 6])
    await log.close()
  })

  it('gives exactly the records from `from` to `to`, whatever the batches and the chunks', async () => {
    const { log } = await filled()
    for (const maxBytes of [1, 100, 333, 5000, 1_000_000]) {
      expect(await offsetsOf(log, { maxBytes })).toEqual(range(0, 150))
      for (const [from, to] of [
        [0, 1],
        [1, 2],
        [2, 3],
        [7, 7],
        [7, 101],
        [148, 150],
        [149, 999],
        [150, 150],
      ] as const) {
        expect(await offsetsOf(log, { from, to, maxBytes })).toEqual(range(from, Math.min(to, 150)))
        const cursors: number[] = []
        const cursor = new RecordCursor()
        for await (const one of log.read({ from, to, maxBytes, reuseBuffers: true, checkCrcs: false })) {
          for (one.cursor(cursor); cursor.next(); ) cursors.push(cursor.offset)
        }
        expect(cursors).toEqual(range(from, Math.min(to, 150)))
      }
    }
    await log.close()
  })

  it('begins at the start, at the end, or at a time', async () => {
    const { log } = await filled(10)
    expect(await offsetsOf(log, { from: 'start' })).toEqual(range(0, 30))
    expect(await offsetsOf(log, { from: 'end' })).toEqual([])
    expect(await offsetsOf(log, { from: { timestamp: 1007 } })).toEqual(range(21, 30))
    expect(await offsetsOf(log, { from: { timestamp: 5000 } })).toEqual([])
    await log.close()
  })

  it('ends where the log ended when it began', async () => {
    const { log } = await filled(10)
    const reader = log.read({ maxBytes: 1 })
    const offsets: number[] = []
    for await (const one of reader) {
      for (const record of one) offsets.push(record.offset)
      if (offsets.length < 100) await log.append({ value: new Uint8Array(3) })
    }
    expect(offsets).toEqual(range(0, 30))
    await log.close()
  })

  it('keeps batches valid for as long as they are held, unless buffers are reused', async () => {
    const { log } = await filled(200)
    const held: RecordBatch[] = []
    for await (const one of log.read({ maxBytes: 400 })) held.push(one)
    const values = held.flatMap((one) => [...one].map((record) => decode(record.value)))
    expect(values).toEqual(range(0, 600).map((index) => `value ${Math.floor(index / 3)}`))
    const buffers = new Set<ArrayBufferLike>()
    for await (const one of log.read({ maxBytes: 400, reuseBuffers: true })) buffers.add(one.bytes.buffer)
    expect(buffers.size).toBe(1)
    await log.close()
  })

  it('goes across segments, from the device as from the page cache', async () => {
    const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 100 }
    for (const disk of [env.disk, coldDisk()]) {
      const { log } = await filled(200, settings, disk)
      expect(log.segmentCount).toBeGreaterThan(5)
      for (const maxBytes of [1, 700, 1_000_000]) {
        for (const reuseBuffers of [true, false]) {
          const values: string[] = []
          for await (const one of log.read({ maxBytes, reuseBuffers })) {
            for (const record of one) values.push(decode(record.value))
          }
          expect(values).toEqual(range(0, 600).map((index) => `value ${Math.floor(index / 3)}`))
        }
      }
      await log.close()
    }
  })

  it('gives batches that are in memory without a promise, by tryNext', async () => {
    const { log } = await filled(20)
    const reader = log.read()
    expect(reader.tryNext()).toBeUndefined()
    const first = await reader.next()
    expect(first.value?.baseOffset).toBe(0)
    for (let index = 1; index < 20; index++) expect(reader.tryNext()?.baseOffset).toBe(3 * index)
    expect(reader.tryNext()).toBeUndefined()
    expect(reader.nextOffset).toBe(60)
    expect((await reader.next()).done).toBe(true)
    await log.close()
  })

  it('answers calls that were not awaited in order', async () => {
    const { log } = await filled(20)
    const reader = log.read({ maxBytes: 1 })
    const results = await Promise.all(Array.from({ length: 22 }, () => reader.next()))
    expect(results.slice(0, 20).map(({ value }) => value?.baseOffset)).toEqual(range(0, 20).map((index) => 3 * index))
    expect(results.slice(20).map(({ done }) => done)).toEqual([true, true])
    await log.close()
  })

  it('lets the event loop turn between two chunks', async () => {
    const { log } = await filled(100)
    let turns = 0
    let isReading = true
    const turn = (): void => {
      turns++
      if (isReading) setImmediate(turn)
    }
    setImmediate(turn)
    let chunks = 0
    for await (const _one of log.read({ maxBytes: 1 })) chunks++
    isReading = false
    expect(chunks).toBe(100)
    expect(turns).toBeGreaterThan(90)
    await log.close()
  })

  it('decompresses batches, unless they are wanted as they are stored', async () => {
    const { log } = await filled(3)
    for (const codec of [Compression.GZIP, Compression.SNAPPY, Compression.LZ4]) {
      const plain = batch({ count: 3, value: 'compressed '.repeat(20) })
      await log.append(compressBatch(plain, await loadCodec(codec)))
    }
    await log.append({ value: new TextEncoder().encode('after') })
    const values: string[] = []
    for await (const record of log.records({ from: 2 })) values.push(decode(record.value))
    const expected = Array.from({ length: 9 }, () => 'compressed '.repeat(20))
    expect(values).toEqual([
      'value 0',
      ...range(0, 6).map((at) => `value ${1 + Math.floor(at / 3)}`),
      ...expected,
      'after',
    ])
    expect(await offsetsOf(log, { from: 10, to: 17 })).toEqual(range(10, 17))
    for (const offset of range(9, 18)) expect(decode((await log.readAt(offset))!.value)).toBe(expected[0])
    const stored: number[] = []
    for await (const one of log.read({ from: 9, decompress: false })) stored.push(one.compression)
    expect(stored).toEqual([1, 2, 3, 0])
    await log.close()
  })

  it('leaves control batches out', async () => {
    const { log } = await filled(1)
    const marker = batch({ count: 1, value: 'commit' })
    marker[22]! |= 0x20
    await log.appendBatch(marker, 0)
    await log.append({ value: new TextEncoder().encode('after') })
    expect(await offsetsOf(log, { checkCrcs: false })).toEqual([0, 1, 2, 4])
    await log.close()
  })
})

describe('a tailing reader', () => {
  it('waits for appends and gives them in order, without polling', async () => {
    const { log } = await filled(1)
    let sooner = 0
    const soon = (callback: () => void): void => {
      sooner++
      env.clock.soon(callback)
    }
    const clock = { ...env.clock, soon }
    const other = await openLog(await temporaryDirectory(), { env: { ...env, clock } })
    const reader = other.read({ tail: true })
    const seen: number[] = []
    const reading = (async () => {
      for await (const one of reader) {
        for (const record of one) seen.push(record.offset)
        if (seen.length === 30) break
      }
    })()
    for (let index = 0; index < 30; index++) await other.append({ value: new Uint8Array(5) })
    await reading
    expect(seen).toEqual(range(0, 30))
    expect(sooner).toBeLessThan(31)
    await other.close()
    await log.close()
  })

  it('from the end gives only what comes', async () => {
    const { log } = await filled(5)
    const reader = log.read({ from: 'end', tail: true, to: 17 })
    const first = reader.next()
    await log.appendBatch(batch({ count: 3 }), 0)
    expect([...(await first).value!].map((record) => record.offset)).toEqual([15, 16])
    expect((await reader.next()).done).toBe(true)
    await log.close()
  })

  it('ends with PAGELOG_CLOSED when the log is closed, with PAGELOG_STORAGE when it goes offline', async () => {
    const { log } = await filled(1)
    const waiting = log.read({ from: 'end', tail: true }).next()
    await log.close()
    await expect(waiting).rejects.toEqual(code('PAGELOG_CLOSED'))
    await expect(log.read().next()).rejects.toEqual(code('PAGELOG_CLOSED'))
    await expect(log.readAt(0)).rejects.toEqual(code('PAGELOG_CLOSED'))

    const failing = new FailingDisk()
    const other = await openLog(await temporaryDirectory(), { env: failing.env })
    const offline = other.read({ tail: true }).next()
    failing.fails = (operation, path) => (operation === 'write' ? storageError(path) : undefined)
    await expect(other.append({})).rejects.toEqual(code('PAGELOG_STORAGE'))
    await expect(offline).rejects.toEqual(code('PAGELOG_STORAGE'))
    await other.close().catch(() => {})
  })

  it('is ended by return while it waits', async () => {
    const { log } = await filled(1)
    const reader = log.read({ from: 'end', tail: true })
    const waiting = reader.next()
    await reader.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await reader.next()).toEqual({ done: true, value: undefined })
    await log.close()
  })

  it('is aborted while it waits, while it reads and before it begins', async () => {
    const { log } = await filled(1)
    const controller = new AbortController()
    const { signal } = controller
    const waiting = log.read({ from: 'end', tail: true, signal }).next()
    const between = log.read({ signal, maxBytes: 1 })
    await between.next()
    const reason = new Error('enough')
    controller.abort(reason)
    const aborted = expect.objectContaining({ code: 'PAGELOG_ABORTED', cause: reason })
    await expect(waiting).rejects.toEqual(aborted)
    await expect(between.next()).rejects.toEqual(aborted)
    expect((await between.next()).done).toBe(true)
    await expect(log.read({ signal }).next()).rejects.toEqual(aborted)
    await log.close()
  })
})

describe('reading is refused', () => {
  it('outside of the log, and with options that are none', async () => {
    const { log } = await filled(1)
    for (const from of [-1, 4, 1e15]) {
      await expect(log.read({ from }).next()).rejects.toEqual(code('PAGELOG_OFFSET_OUT_OF_RANGE'))
      await expect(log.readAt(from)).rejects.toEqual(code('PAGELOG_OFFSET_OUT_OF_RANGE'))
    }
    const wrong: unknown[] = [
      { from: 1.5 },
      { from: 'middle' },
      { from: {} },
      { from: null },
      { from: true },
      { to: -1 },
      { to: 'end' },
      { maxBytes: 0 },
      { maxBytes: 1.5 },
    ]
    for (const options of wrong) {
      expect(() => log.read(options as ReadOptions), JSON.stringify(options)).toThrow(
        expect.objectContaining({ code: 'PAGELOG_INVALID_ARGUMENT' }),
      )
    }
    await expect(log.readAt(0.5)).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    await log.close()
  })

  it('when the log was truncated under a reader that waits at its end, however much follows at once', async () => {
    const { log } = await filled(10)
    const reader = log.read({ from: 'end', tail: true })
    const next = reader.next().catch((error) => error)
    await new Promise(setImmediate)
    await log.truncateTo(15)
    await log.appendBatch(batch({ count: 100 }), 0)
    expect(await next).toEqual(code('PAGELOG_OFFSET_OUT_OF_RANGE'))
    await log.close()
  })

  it('when the log closes while the device is asked', async () => {
    let isHeld = false
    let isAsked = (): void => {}
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve
    })
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const disk = coldDisk()
    const open: typeof disk.open = async (path, mode) => {
      const file = await disk.open(path, mode)
      const read = file.read.bind(file)
      file.read = async (into, position) => {
        const count = await read(into, position)
        if (isHeld) isAsked()
        if (isHeld) await answered
        return count
      }
      return file
    }
    const { log } = await filled(30, { ...defaults, indexIntervalBytes: 300 }, { ...disk, open })
    isHeld = true
    const reading = log.readAt(50).catch((error) => error)
    await asked
    const closing = log.close({ clean: false })
    for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate)
    answer()
    expect([code('PAGELOG_CLOSED'), expect.objectContaining({ offset: 50 })]).toContainEqual(await reading)
    await closing
  })

  it('when the log was trimmed under the reader', async () => {
    const { log } = await filled(50, { ...defaults, segmentBytes: 2000, indexIntervalBytes: 100 })
    const reader = log.read({ maxBytes: 1 })
    await reader.next()
    await log.trimBefore(100)
    const goingOn = async (): Promise<void> => {
      for (let chunk = 0; chunk < 2; chunk++) await reader.next() // one may have been read ahead
    }
    await expect(goingOn()).rejects.toEqual(code('PAGELOG_OFFSET_OUT_OF_RANGE'))
    expect((await reader.next()).done).toBe(true)
    expect(await offsetsOf(log)).toEqual(range(100, 150))
    await log.close()
  })

  it('where a batch is damaged, with path, position and offset; the CRC only when it is looked at', async () => {
    const { log, directory } = await filled(10)
    const path = `${directory}/00000000000000000000.log`
    const bytes = await readFile(path)
    const size = bytes.length / 10
    bytes[6 * size - 3]! ^= 1
    await writeFile(path, bytes)
    for (const maxBytes of [1, 1_000_000]) {
      const offsets: number[] = []
      const reading = (async () => {
        for await (const one of log.read({ maxBytes })) for (const record of one) offsets.push(record.offset)
      })()
      const fields = { code: 'PAGELOG_CORRUPT', path, position: 5 * size, offset: 15 }
      await expect(reading).rejects.toEqual(expect.objectContaining(fields))
      expect(offsets).toEqual(range(0, 15))
    }
    await expect(log.readAt(16)).rejects.toEqual(code('PAGELOG_CORRUPT'))
    expect((await log.readAt(18))?.offset).toBe(18)
    expect((await offsetsOf(log, { checkCrcs: false })).length).toBe(30)
    await log.close()
  })

  it('where the length of a batch is damaged', async () => {
    const { log, directory } = await filled(10)
    const path = `${directory}/00000000000000000000.log`
    const good = await readFile(path)
    const size = good.length / 10
    for (const length of [0, 5, 48, 49, 5000, 0x7fffffff, -1]) {
      const bytes = Buffer.from(good)
      bytes.writeInt32BE(length, 5 * size + 8)
      await writeFile(path, bytes)
      for (const maxBytes of [1, 1_000_000]) {
        await expect(offsetsOf(log, { maxBytes }), `${length} ${maxBytes}`).rejects.toEqual(code('PAGELOG_CORRUPT'))
      }
    }
    await log.close({ clean: false })
  })
})

describe('records', () => {
  it('comes record by record, each valid for as long as it is held', async () => {
    const { log } = await filled(20)
    const held = []
    for await (const record of log.records({ from: 5, to: 50, reuseBuffers: true })) held.push(record)
    expect(held.map((record) => [record.offset, decode(record.value)])).toEqual(
      range(5, 50).map((offset) => [offset, `value ${Math.floor(offset / 3)}`]),
    )
    await log.close()
  })
})

describe('readAt', () => {
  it('gives the record at every offset, and none at the end', async () => {
    const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 300 }
    for (const disk of [env.disk, coldDisk()]) {
      const { log } = await filled(50, settings, disk)
      const records = await Promise.all(range(0, 150).map((offset) => log.readAt(offset)))
      records.forEach((record, offset) => {
        expect(record?.offset).toBe(offset)
        expect(decode(record!.value)).toBe(`value ${Math.floor(offset / 3)}`)
        expect(record!.key).toBeNull()
        expect(record!.headers).toEqual([])
      })
      expect(await log.readAt(150)).toBeUndefined()
      await log.close()
    }
  })
})
