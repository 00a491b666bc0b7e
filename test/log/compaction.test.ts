/** Compaction of one log: what stays, what goes, what is left alone. Crashes are in compaction.crash.ts. */
import { describe, expect, test } from 'vitest'
import { hasCode, PagelogError } from '../../src/base/index.ts'
import { MemoryDisk } from '../../src/env/memory/index.ts'
import type { VirtualClock } from '../../src/env/simulated/index.ts'
import type { Log } from '../../src/log/index.ts'
import {
  batchesIn,
  compactSettings,
  compressed,
  HOUR_MS,
  horizonOf,
  type Machine,
  machineOn,
  marker,
  openCompacted,
  type Pair,
  pairs,
  recordsIn,
  tableOf,
} from './compaction-support.ts'

/** Appends one batch. */
async function put(log: Log, clock: VirtualClock, ...records: Pair[]): Promise<void> {
  await log.appendBatch(pairs(records, clock.nowMs()), 0)
}

/** So many records of values that fill segments quickly, one a batch, keys repeating. */
async function fill(log: Log, clock: VirtualClock, count: number, keys: number, tag = 'v'): Promise<void> {
  const value = (index: number) => `${tag}${index}${'.'.repeat(60)}`
  await Promise.all(Array.from({ length: count }, (_, index) => put(log, clock, [`k${index % keys}`, value(index)])))
}

async function started(): Promise<{ machine: Machine; log: Log; clock: VirtualClock }> {
  const machine = machineOn()
  return { machine, log: await openCompacted(machine), clock: machine.clock }
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => {
      throw new Error('it was expected to fail')
    },
    (error: unknown) => error,
  )
}

describe('of records with the same key', () => {
  test('only the newest stays, with its offset', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '1'], ['b', '1'], ['a', '2'])
    await put(log, clock, ['c', '1'])
    await put(log, clock, ['b', '2'], ['d', '1'])
    const report = await log.compact()
    expect(await recordsIn(log)).toEqual([
      { offset: 2, key: 'a', value: '2' },
      { offset: 3, key: 'c', value: '1' },
      { offset: 4, key: 'b', value: '2' },
      { offset: 5, key: 'd', value: '1' },
    ])
    expect(report).toMatchObject({ passes: 1, recordsRead: 6, recordsKept: 4, keys: 4, firstDirtyOffset: 6 })
    expect([log.logStartOffset, log.logEndOffset]).toEqual([0, 6])
    await log.close()
  })

  test('the table is the same over many segments and many compactions, and only the newest records stay', async () => {
    const { log, clock } = await started()
    for (let round = 0; round < 4; round++) {
      await fill(log, clock, 60, 7, `r${round}-`)
      const table = await tableOf(log)
      const { sizeBefore, sizeAfter } = await log.compact()
      expect(sizeAfter).toBeLessThan(sizeBefore)
      expect(await tableOf(log)).toEqual(table)
      expect(await recordsIn(log)).toHaveLength(7)
      expect(log.firstDirtyOffset).toBe(log.logEndOffset)
    }
    await log.close()
  })

  test('empty keys are keys, and long ones are told apart', async () => {
    const { log, clock } = await started()
    const long = 'x'.repeat(100)
    await put(log, clock, ['', '1'], [`${long}a`, '1'], [`${long}b`, '1'], ['', '2'], [`${long}a`, '2'])
    await log.compact()
    expect(await tableOf(log)).toEqual({ '': '2', [`${long}a`]: '2', [`${long}b`]: '1' })
    expect(await recordsIn(log)).toHaveLength(3)
    await log.close()
  })

  test('a batch whose records all stay is copied byte for byte', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '1'])
    await put(log, clock, ['b', '1'], ['c', '1'])
    await put(log, clock, ['a', '2'])
    const before = await batchesIn(log)
    await log.compact()
    const after = await batchesIn(log)
    expect(after.map((batch) => batch.baseOffset)).toEqual([1, 3])
    const bytesOfBatch = (batch: (typeof after)[number]) =>
      Buffer.from(batch.bytes.subarray(batch.position, batch.position + batch.sizeInBytes))
    expect(bytesOfBatch(after[0]!).equals(bytesOfBatch(before[1]!))).toBe(true)
    await log.close()
  })

  test('reads begin at the next record that is left, at every offset', async () => {
    const { log, clock } = await started()
    await fill(log, clock, 50, 5)
    await log.compact()
    const left = (await recordsIn(log)).map((record) => record.offset)
    for (let offset = 0; offset < log.logEndOffset; offset++) {
      const expected = left.find((one) => one >= offset)
      const found: number[] = []
      for await (const batch of log.read({ from: offset })) for (const record of batch) found.push(record.offset)
      expect(found.find((one) => one >= offset)).toBe(expected)
    }
    await log.close()
  })

  test('the log opens again with what was left, and goes on from there', async () => {
    const { machine, log, clock } = await started()
    await fill(log, clock, 50, 5)
    await log.compact()
    const records = await recordsIn(log)
    await log.close()
    const again = await openCompacted(machine, { recoveryPoint: 50, compaction: { firstDirtyOffset: 50 } })
    expect(await recordsIn(again)).toEqual(records)
    expect([again.logEndOffset, again.firstDirtyOffset]).toEqual([50, 50])
    expect(await again.compact()).toMatchObject({ passes: 0, bytesRead: 0 })
    await put(again, clock, ['k1', 'new'])
    await again.compact()
    expect((await tableOf(again)).k1).toBe('new')
    await again.close()
  })

  test('the log opens after an unclean end as well', async () => {
    const { machine, log, clock } = await started()
    await fill(log, clock, 50, 5)
    await log.compact()
    const records = await recordsIn(log)
    const { recoveryPoint } = log
    await log.close({ clean: false })
    const again = await openCompacted(machine, { recoveryPoint, cleanShutdown: false })
    expect(await recordsIn(again)).toEqual(records)
    expect(again.logEndOffset).toBe(50)
    await again.close()
  })
})

describe('what is not touched', () => {
  test('the active segment, unless it is sealed first', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '1'], ['a', '2'])
    expect(await log.compact({ seal: false })).toMatchObject({ passes: 0, sizeBefore: 0 })
    expect(await recordsIn(log)).toHaveLength(2)
    await log.compact()
    expect(await recordsIn(log)).toHaveLength(1)
    await log.close()
  })

  test('records younger than min.compaction.lag.ms', async () => {
    const machine = machineOn()
    const log = await openCompacted(machine, { settings: { ...compactSettings, minCompactionLagMs: HOUR_MS } })
    const { clock } = machine
    await put(log, clock, ['a', '1'], ['a', '2'])
    expect(await log.compact()).toMatchObject({ passes: 0 })
    clock.advance(HOUR_MS + 1)
    expect(await log.compact()).toMatchObject({ passes: 1, recordsKept: 1 })
    await log.close()
  })

  test('records behind the last stable offset', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '1'])
    await put(log, clock, ['a', '2'])
    await log.compact()
    const open = { id: 9, sequence: 0, transactional: true }
    await log.appendBatch(pairs([['b', 'open']], clock.nowMs(), open), 0)
    await fill(log, clock, 20, 2)
    expect(await log.compact()).toMatchObject({ passes: 0 })
    await log.appendBatch(marker(9, true, clock.nowMs()), 0)
    expect(await log.compact()).toMatchObject({ passes: 1 })
    expect(await tableOf(log)).toMatchObject({ a: '2', b: 'open' })
    await log.close()
  })

  test('a log whose cleanup.policy is not compact', async () => {
    const machine = machineOn()
    const log = await openCompacted(machine, { settings: { ...compactSettings, cleanupPolicy: ['delete'] } })
    expect(hasCode(await rejection(log.compact()), 'PAGELOG_INVALID_ARGUMENT')).toBe(true)
    await log.close()
  })

  test('a segment in which everything stays is not written again', async () => {
    const { machine, log, clock } = await started()
    await put(log, clock, ['a', '1'], ['b', '1'])
    const calls: string[] = []
    const { disk } = machine
    const rename = disk.rename.bind(disk)
    disk.rename = (from, to) => {
      calls.push(from)
      return rename(from, to)
    }
    expect(await log.compact()).toMatchObject({ passes: 1, bytesWritten: 0, recordsKept: 2 })
    expect(calls.filter((path) => path.includes('.cleaned'))).toEqual([])
    await log.close()
  })
})

describe('tombstones', () => {
  test('stay delete.retention.ms after the compaction that met them first, then go', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '1'], ['b', '1'])
    await put(log, clock, ['a', null])
    await log.compact()
    expect(await recordsIn(log)).toEqual([
      { offset: 1, key: 'b', value: '1' },
      { offset: 2, key: 'a', value: null },
    ])
    const horizon = horizonOf((await batchesIn(log))[1]!)
    expect(horizon).toBe(clock.nowMs() + 24 * HOUR_MS)

    clock.advance(23 * HOUR_MS)
    await put(log, clock, ['c', '1'])
    await log.compact()
    expect(await recordsIn(log)).toHaveLength(3)
    expect(horizonOf((await batchesIn(log))[1]!)).toBe(horizon)

    clock.advance(HOUR_MS)
    await put(log, clock, ['d', '1'])
    expect(await log.compact()).toMatchObject({ tombstonesDropped: 1 })
    expect(await tableOf(log)).toEqual({ b: '1', c: '1', d: '1' })
    expect(await recordsIn(log)).toHaveLength(3)
    await log.close()
  })

  test('give way to a newer value like any record', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '1'], ['a', null], ['a', '2'])
    await log.compact()
    expect(await recordsIn(log)).toEqual([{ offset: 2, key: 'a', value: '2' }])
    await log.close()
  })
})

describe('records without keys', () => {
  test('are refused by a compacted log', async () => {
    const { log } = await started()
    const refused = { code: 'PAGELOG_REFUSED', kafkaCode: 87 }
    expect(await rejection(log.append({ value: Buffer.from('x') }))).toMatchObject(refused)
    const some = [
      { key: Buffer.from('k'), value: null },
      { key: null, value: Buffer.from('x') },
    ]
    expect(await rejection(log.append(some))).toMatchObject(refused)
    expect(
      await rejection(
        log.append(
          pairs(
            [
              ['k', 'v'],
              [null, 'v'],
            ],
            1,
          ),
        ),
      ),
    ).toMatchObject(refused)
    expect(log.logEndOffset).toBe(0)
    await log.close()
  })

  test('of the time before it was compacted are dropped and counted', async () => {
    const machine = machineOn()
    const log = await openCompacted(machine, { settings: { ...compactSettings, cleanupPolicy: ['delete'] } })
    await put(log, machine.clock, [null, 'x'], ['a', '1'], [null, 'y'])
    log.configure(compactSettings)
    expect(await log.compact()).toMatchObject({ keylessDropped: 2, recordsKept: 1 })
    expect(await recordsIn(log)).toEqual([{ offset: 1, key: 'a', value: '1' }])
    await log.close()
  })
})

describe('producers', () => {
  test('the last batch of one that is known stays, without records if need be: its sequences go on', async () => {
    const { machine, log, clock } = await started()
    await log.appendBatch(pairs([['a', '1']], clock.nowMs(), { id: 5, sequence: 0 }), 0)
    await log.appendBatch(
      pairs(
        [
          ['a', '2'],
          ['b', '1'],
        ],
        clock.nowMs(),
        { id: 5, sequence: 1 },
      ),
      0,
    )
    await put(log, clock, ['a', '3'], ['b', '2'])
    await log.compact()
    const batches = await batchesIn(log)
    expect(batches.map((batch) => [batch.baseOffset, batch.lastOffset, batch.recordCount])).toEqual([
      [1, 2, 0],
      [3, 4, 2],
    ])
    expect([batches[0]!.producerId, batches[0]!.baseSequence]).toEqual([5, 1])
    const { recoveryPoint } = log
    await log.close({ clean: false })

    for (const snapshot of await machine.disk.list('/log')) {
      if (snapshot.endsWith('.snapshot')) await machine.disk.unlink(`/log/${snapshot}`)
    }
    const again = await openCompacted(machine, { recoveryPoint, cleanShutdown: false })
    const gap = pairs([['c', '1']], clock.nowMs(), { id: 5, sequence: 7 })
    expect(await rejection(again.appendBatch(gap, 0))).toMatchObject({ kafkaCode: 45 })
    await again.appendBatch(pairs([['c', '1']], clock.nowMs(), { id: 5, sequence: 3 }), 0)
    await again.compact()
    expect((await batchesIn(again)).map((batch) => batch.baseOffset)).toEqual([3, 5])
    await again.close()
  })
})

describe('transactions', () => {
  const begin = (id: number, sequence: number) => ({ id, sequence, transactional: true })

  test('records of aborted ones go and hide nothing; those of committed ones count', async () => {
    const { log, clock } = await started()
    const now = clock.nowMs()
    await put(log, clock, ['a', 'before'], ['b', 'before'])
    await log.appendBatch(pairs([['a', 'aborted']], now, begin(1, 0)), 0)
    await log.appendBatch(pairs([['b', 'committed']], now, begin(2, 0)), 0)
    await log.appendBatch(marker(1, false, now), 0)
    await log.appendBatch(marker(2, true, now), 0)
    expect(await log.compact()).toMatchObject({ abortedDropped: 1 })
    expect(await tableOf(log)).toEqual({ a: 'before', b: 'committed' })
    await log.close()
  })

  test('markers stay while their transaction has batches, then delete.retention.ms, then go', async () => {
    const { log, clock } = await started()
    const markers = async () => (await batchesIn(log)).filter((batch) => batch.isControl)
    await log.appendBatch(pairs([['a', '1']], clock.nowMs(), begin(1, 0)), 0)
    await log.appendBatch(marker(1, true, clock.nowMs()), 0)
    await log.appendBatch(pairs([['x', '1']], clock.nowMs(), begin(2, 0)), 0)
    await log.appendBatch(marker(2, false, clock.nowMs()), 0)
    clock.advance(25 * HOUR_MS)
    log.expireProducers(clock.nowMs())
    await put(log, clock, ['a', '2'])
    await log.compact() // meets the batches, and drops what is in them
    expect((await markers()).map(horizonOf)).toEqual([-1, -1])
    await put(log, clock, ['b', '1'])
    await log.compact() // meets no batches any more
    const horizon = clock.nowMs() + 24 * HOUR_MS
    expect((await markers()).map(horizonOf)).toEqual([horizon, horizon])
    clock.advance(24 * HOUR_MS)
    await put(log, clock, ['c', '1'])
    await log.compact()
    expect(await markers()).toEqual([])
    expect(await tableOf(log)).toEqual({ a: '2', b: '1', c: '1' })
    await log.close()
  })
})

describe('compressed batches', () => {
  test('stay whole and are counted; what hides a record in them may not go', async () => {
    const { log, clock } = await started()
    await put(log, clock, ['a', '0'], ['b', '0'])
    await log.appendBatch(compressed([['a', '1']], clock.nowMs()), 0)
    await put(log, clock, ['a', null])
    expect(await log.compact()).toMatchObject({ compressedBatches: 1 })
    clock.advance(48 * HOUR_MS)
    await put(log, clock, ['c', '1'])
    expect(await log.compact()).toMatchObject({ compressedBatches: 1, tombstonesDropped: 0 })
    expect((await recordsIn(log)).map(({ offset }) => offset)).toEqual([1, 3, 4])
    expect((await batchesIn(log)).filter((batch) => batch.compression !== 0)).toHaveLength(1)
    await log.close()
  })
})

describe('segments', () => {
  test('small neighbours become one, as far as a segment may grow', async () => {
    const { log, clock } = await started()
    await fill(log, clock, 100, 12)
    expect(log.segmentCount).toBeGreaterThan(10)
    await log.compact()
    await fill(log, clock, 1, 1)
    await log.compact()
    // 1.7 segments of records and the active one
    expect(log.segmentCount).toBeLessThanOrEqual(4)
    await log.close()
  })

  test('those that a trim removes meanwhile are left out', async () => {
    const { log, clock } = await started()
    await fill(log, clock, 60, 60)
    await log.compact()
    await log.trimBefore(30)
    await fill(log, clock, 30, 60, 'w')
    await log.compact()
    expect((await recordsIn(log))[0]!.offset).toBeGreaterThanOrEqual(30)
    expect(Object.values(await tableOf(log)).filter((value) => value.startsWith('w'))).toHaveLength(30)
    await log.close()
  })
})

describe('the map of keys', () => {
  test('when it is full, the rest comes in further passes', async () => {
    const machine = machineOn()
    const memory = { dedupeBufferBytes: 64 * 20, ioBufferBytes: 8192, loadFactor: 0.5 }
    const limits = { ...memory, bytesPerSecond: Infinity, decompressedBytesMax: 1 << 20 }
    const log = await openCompacted(machine, { compaction: { limits } })
    await fill(log, machine.clock, 300, 100)
    const table = await tableOf(log)
    const report = await log.compact()
    expect(report.passes).toBeGreaterThan(3)
    expect(report.firstDirtyOffset).toBe(300)
    expect(await tableOf(log)).toEqual(table)
    expect(await recordsIn(log)).toHaveLength(100)
    await log.close()
  })
})

describe('damage', () => {
  test('stops it with PAGELOG_CORRUPT: nothing has changed, and it is not tried again', async () => {
    const { machine, log, clock } = await started()
    await fill(log, clock, 30, 3)
    const before = await recordsIn(log)
    await log.flush()
    const path = '/log/00000000000000000000.log'
    const disk = machine.disk as MemoryDisk
    const file = await disk.open(path, 'write')
    const good = new Uint8Array(1)
    await file.read(good, 300)
    await file.write([new Uint8Array([good[0]! ^ 1])], 300)
    for (const attempt of [1, 2]) {
      const error = await rejection(log.compact({ seal: attempt === 1 }))
      expect(error).toMatchObject({ code: 'PAGELOG_CORRUPT', path })
    }
    await file.write([good], 300)
    await file.close()
    expect(await recordsIn(log)).toEqual(before)
    expect((await disk.list('/log')).filter((name) => name.endsWith('.cleaned'))).toEqual([])
    expect(log.firstDirtyOffset).toBe(0)
    await log.close()
    const again = await openCompacted(machine, { recoveryPoint: 30 })
    expect(await again.compact()).toMatchObject({ recordsKept: 3 })
    await again.close()
  })
})

describe('a file that cannot be opened', () => {
  test.each([
    ['to fill the map', 'read', '00000000000000000000.log', 1],
    ['to rewrite it', 'read', '00000000000000000000.log', 2],
    ['to take the new one in', 'write', '.log.cleaned', 2],
  ] as const)('%s stops it, and neither the log nor the next attempt', async (_, mode, name, nth) => {
    const { machine, log, clock } = await started()
    await fill(log, clock, 60, 3)
    const before = await recordsIn(log)
    const open = machine.disk.open.bind(machine.disk)
    let left: number = nth
    machine.disk.open = async (path, how) => {
      if (how !== mode || !path.endsWith(name) || --left !== 0) return await open(path, how)
      throw new PagelogError('PAGELOG_STORAGE', `cannot open ${path}: EMFILE`, { path })
    }
    expect(await rejection(log.compact())).toMatchObject({ code: 'PAGELOG_STORAGE', retriable: true })
    expect(await recordsIn(log)).toEqual(before)
    expect((await machine.disk.list('/log')).filter((file) => /cleaned|swap/.test(file))).toEqual([])
    await put(log, clock, ['k0', 'goes on'])
    expect(await log.compact()).toMatchObject({ recordsKept: 3 })
    await log.close()
  })
})

describe('a compaction that is interrupted', () => {
  /** A log whose compaction waits at its n-th write of a `.cleaned` file, until `go`. */
  async function held(): Promise<{ machine: Machine; log: Log; go: () => void; reached: Promise<void> }> {
    const machine = machineOn()
    const { disk } = machine
    let go: () => void = () => {}
    let reach: () => void = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const reached = new Promise<void>((resolve) => {
      reach = resolve
    })
    const open = disk.open.bind(disk)
    disk.open = async (path, mode) => {
      if (path.endsWith('.log.cleaned')) {
        reach()
        await gate
      }
      return await open(path, mode)
    }
    const log = await openCompacted(machine)
    await fill(log, machine.clock, 60, 3)
    return { machine, log, go, reached }
  }

  const leftovers = async (machine: Machine): Promise<string[]> =>
    (await machine.disk.list('/log')).filter((name) => /\.(?:cleaned|swap|deleted)$/.test(name))

  test('by its signal: PAGELOG_ABORTED with the reason, nothing left behind', async () => {
    const { machine, log, go, reached } = await held()
    const table = await tableOf(log)
    const controller = new AbortController()
    const compacting = rejection(log.compact({ signal: controller.signal }))
    await reached
    controller.abort('enough')
    go()
    expect(await compacting).toMatchObject({ code: 'PAGELOG_ABORTED', cause: 'enough' })
    expect(await leftovers(machine)).toEqual([])
    expect(await tableOf(log)).toEqual(table)
    await log.compact()
    expect(await tableOf(log)).toEqual(table)
    await log.close()
  })

  test('before it began', async () => {
    const { log, go } = await held()
    go()
    const error = await rejection(log.compact({ signal: AbortSignal.abort('no') }))
    expect(hasCode(error, 'PAGELOG_ABORTED')).toBe(true)
    await log.close()
  })

  test('by truncation, which makes what follows dirty', async () => {
    const { machine, log, go, reached } = await held()
    const compacting = rejection(log.compact())
    await reached
    const truncating = log.truncateTo(20)
    go()
    expect(hasCode(await compacting, 'PAGELOG_ABORTED')).toBe(true)
    expect(await truncating).toBe(20)
    expect(await leftovers(machine)).toEqual([])
    await log.compact()
    await put(log, machine.clock, ['k0', 'late'])
    await log.truncateTo(10)
    expect(log.firstDirtyOffset).toBeLessThanOrEqual(log.logEndOffset)
    await log.close()
  })

  test('by close', async () => {
    const { machine, log, go, reached } = await held()
    const compacting = rejection(log.compact())
    await reached
    const closing = log.close()
    go()
    expect(hasCode(await compacting, 'PAGELOG_CLOSED')).toBe(true)
    await closing
    expect(await leftovers(machine)).toEqual([])
    const again = await openCompacted(machine, { recoveryPoint: 60 })
    expect(Object.keys(await tableOf(again))).toEqual(['k0', 'k1', 'k2'])
    await again.close()
  })

  test('by close, whatever it is about to do: PAGELOG_CLOSED', async () => {
    let error: unknown
    for (let turns = 0; turns === 0 || error !== undefined; turns++) {
      expect(turns).toBeLessThan(1000)
      const machine = machineOn()
      const log = await openCompacted(machine)
      await fill(log, machine.clock, 6, 2)
      const compacting = log.compact().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      const closing = log.close()
      error = await compacting
      if (error !== undefined) expect([turns, error]).toMatchObject([turns, { code: 'PAGELOG_CLOSED' }])
      await closing
    }
  })

  test('by a trim of the segments it works on', async () => {
    const { log, go, reached } = await held()
    const compacting = rejection(log.compact())
    await reached
    await log.trimBefore(log.logEndOffset)
    go()
    expect(hasCode(await compacting, 'PAGELOG_ABORTED')).toBe(true)
    await log.compact()
    expect(await recordsIn(log)).toEqual([])
    await log.close()
  })

  test('appends and reads go on meanwhile', async () => {
    const { machine, log, go, reached } = await held()
    const reading: string[] = []
    const compacting = log.compact()
    await reached
    const reader = log.read({ from: 0 })
    const first = await reader.next()
    await put(log, machine.clock, ['k0', 'meanwhile'])
    go()
    await compacting
    for (const record of first.value!) reading.push(String(record.offset))
    for await (const batch of reader) for (const record of batch) reading.push(String(record.offset))
    expect(reading.at(-1)).toBe('59') // where the log ended when the reader began
    expect((await tableOf(log)).k0).toBe('meanwhile')
    await log.close()
  })
})

describe('failures of the disk', () => {
  test('no room for the new segment: PAGELOG_DISK_FULL, the log goes on, a later attempt succeeds', async () => {
    const disk = new MemoryDisk({ capacityBytes: 9000 })
    const machine = machineOn(disk)
    const log = await openCompacted(machine)
    await fill(log, machine.clock, 60, 58)
    const table = await tableOf(log)
    const error = await rejection(log.compact())
    expect(hasCode(error, 'PAGELOG_DISK_FULL')).toBe(true)
    expect(await tableOf(log)).toEqual(table)
    disk.capacityBytes = 1 << 20
    await log.compact()
    expect(await tableOf(log)).toEqual(table)
    await log.close()
  })
})
