import { describe, expect, it } from 'vitest'
import { PagelogError } from '../../src/base/index.ts'
import type { Log } from '../../src/log/index.ts'
import type { LogState } from '../../src/log/log-state.ts'
import { type AbortedTransaction, TransactionIndex } from '../../src/log/transaction-index.ts'
import { abortedTransactions } from '../../src/log/transactions.ts'
import { onEachDisk, readdir, readFile, unlink, writeFile } from './disks.ts'
import { batch, defaults, openLog, temporaryDirectory } from './support.ts'
import { marker, transactional } from './transaction-batches.ts'

/** Packed by hand: int16 version, then producer id, first, last and last stable offset as int64. */
const FIXED = Buffer.from(
  '000000000000000003e80000000000001374000000000000138b000000000000125c' +
    '00000000010000000005000000000000138900000000000013920000000000001393',
  'hex',
)
const FIRST = { producerId: 1000, firstOffset: 4980, lastOffset: 5003, lastStableOffset: 4700 }
const SECOND = { producerId: 2 ** 40 + 5, firstOffset: 5001, lastOffset: 5010, lastStableOffset: 5011 }

describe('TransactionIndex', () => {
  it("has Kafka's bytes", () => {
    const index = TransactionIndex.empty(1000)
    index.append(FIRST)
    index.append(SECOND)
    expect(Buffer.from(index.content).equals(FIXED)).toBe(true)
    const loaded = TransactionIndex.load(1000, FIXED, 5000, 6000)!
    expect([loaded.count, loaded.entryAt(0), loaded.entryAt(1)]).toEqual([2, FIRST, SECOND])
  })

  it('finds what overlaps a range, and says when no later segment can have more', () => {
    const index = TransactionIndex.load(1000, Uint8Array.from(FIXED), 5000, 6000)!
    const collected = (from: number, to: number): [number[], boolean] => {
      const into: AbortedTransaction[] = []
      const isAll = index.collect(from, to, into)
      return [into.map(({ firstOffset }) => firstOffset), isAll]
    }
    expect(collected(0, 4980)).toEqual([[], true])
    expect(collected(4990, 4991)).toEqual([[4980], true])
    expect(collected(5001, 5002)).toEqual([[4980, 5001], true])
    expect(collected(5004, 5011)).toEqual([[5001], true])
    expect(collected(5004, 5012)).toEqual([[5001], false])
    expect(collected(5011, 6000)).toEqual([[], false])
  })

  it('is not loaded from content that cannot be one, and is full at its limit', () => {
    const load = (bytes: Uint8Array, from = 5000, to = 6000) => TransactionIndex.load(1000, bytes, from, to)
    for (let length = 1; length < 68; length++)
      if (length !== 34) expect(load(FIXED.subarray(0, length))).toBeUndefined()
    expect([load(FIXED, 5004), load(FIXED, 5000, 5010)]).toEqual([undefined, undefined])
    const wrongVersion = Uint8Array.from(FIXED)
    wrongVersion[1] = 1
    expect(load(wrongVersion)).toBeUndefined()
    expect(load(new Uint8Array(0))?.count).toBe(0)
    const index = TransactionIndex.empty(70)
    index.append(FIRST)
    expect(index.isFull).toBe(false)
    index.append(SECOND)
    expect(index.isFull).toBe(true)
    index.truncate(5010)
    expect([index.count, index.isFull]).toEqual([1, false])
  })
})

const settings = { ...defaults, segmentBytes: 1000, indexIntervalBytes: 100 }

/** Producers 1 and 2, a transaction each in turn, plain batches between; every other one is aborted. */
async function filled(log: Log, rounds: number): Promise<AbortedTransaction[]> {
  const aborted: AbortedTransaction[] = []
  for (let round = 0; round < rounds; round++) {
    const producerId = 1 + (round % 2)
    const firstOffset = log.logEndOffset
    await log.appendBatch(transactional({ producerId, baseSequence: (round >> 1) * 4, count: 4 }), 0)
    await log.appendBatch(batch(), 0)
    const commit = round % 3 !== 0
    const { lastOffset } = await log.appendBatch(marker({ producerId, commit }), 0)
    if (!commit) aborted.push({ producerId, firstOffset, lastOffset })
  }
  return aborted
}

onEachDisk('transactions', () => {
  it('hold the last stable offset until each is decided', async () => {
    const log = await openLog(await temporaryDirectory())
    await log.appendBatch(batch({ count: 2 }), 0)
    expect(log.lastStableOffset).toBe(2)
    await log.appendBatch(transactional({ producerId: 1 }), 0)
    await log.appendBatch(transactional({ producerId: 2 }), 0)
    await log.appendBatch(batch(), 0)
    expect(log.lastStableOffset).toBe(2)
    await log.appendBatch(marker({ producerId: 1, commit: true }), 0)
    expect(log.lastStableOffset).toBe(3)
    await log.appendBatch(marker({ producerId: 2, commit: false }), 0)
    expect([log.lastStableOffset, log.logEndOffset]).toEqual([7, 7])
    expect(await log.abortedTransactions(0, 7)).toEqual([{ producerId: 2, firstOffset: 3, lastOffset: 6 }])
    expect(await log.abortedTransactions(0, 3)).toEqual([])
    expect(await log.abortedTransactions(5, 5)).toEqual([])
    await log.close()
  })

  it('that were aborted are found across segments, after a clean close, a crash and without their index', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    const aborted = await filled(log, 30)
    expect(log.segmentCount).toBeGreaterThan(5)
    const end = log.logEndOffset
    const expectFound = async (one: Log): Promise<void> => {
      expect(await one.abortedTransactions(0, end)).toEqual(aborted)
      for (const transaction of aborted) {
        const { firstOffset, lastOffset } = transaction
        expect(await one.abortedTransactions(firstOffset, firstOffset + 1)).toContainEqual(transaction)
        expect(await one.abortedTransactions(lastOffset, lastOffset + 1)).toContainEqual(transaction)
        expect(await one.abortedTransactions(lastOffset + 1, end)).not.toContainEqual(transaction)
      }
    }
    await expectFound(log)
    await log.close()
    const clean = await openLog(directory, { settings, cleanShutdown: true })
    await expectFound(clean)
    await clean.close({ clean: false })
    for (const recoveryPoint of [0, 60, end]) {
      const crashed = await openLog(directory, { settings, recoveryPoint })
      await expectFound(crashed)
      await crashed.close({ clean: false })
    }
    for (const damage of [unlink, (path: string) => writeFile(path, 'garbage')]) {
      for (const name of await readdir(directory)) if (name.endsWith('.txnindex')) await damage(`${directory}/${name}`)
      const without = await openLog(directory, { settings, cleanShutdown: true })
      await expectFound(without)
      await without.close()
    }
    const last = await openLog(directory, { settings, cleanShutdown: true })
    await expectFound(last)
    await last.close()
  })

  it('that are open survive a restart, and markers are held to epoch and coordinator', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory)
    await log.appendBatch(transactional({ producerId: 1, producerEpoch: 3 }), 0)
    await log.appendBatch(marker({ producerId: 1, producerEpoch: 3, commit: true, coordinatorEpoch: 5 }), 0)
    await log.appendBatch(transactional({ producerId: 1, producerEpoch: 3, baseSequence: 1 }), 0)
    log.expireProducers(Number.MAX_SAFE_INTEGER)
    expect(log.producerCount).toBe(1)
    await log.close()
    for (const cleanShutdown of [true, false]) {
      const again = await openLog(directory, { cleanShutdown })
      expect([again.lastStableOffset, again.logEndOffset]).toEqual([2, 3])
      const refused = (fields: Parameters<typeof marker>[0], kafkaCode: number) =>
        expect(again.appendBatch(marker(fields), 0)).rejects.toMatchObject({ code: 'PAGELOG_REFUSED', kafkaCode })
      await refused({ producerId: 1, producerEpoch: 2, commit: false, coordinatorEpoch: 9 }, 47)
      await refused({ producerId: 1, producerEpoch: 3, commit: false, coordinatorEpoch: 4 }, 52)
      await again.close({ clean: false })
    }
    const last = await openLog(directory)
    // A coordinator that fences the producer aborts with a newer epoch; what the old one sends behind it is refused.
    const fencing = last.appendBatch(marker({ producerId: 1, producerEpoch: 4, commit: false, coordinatorEpoch: 6 }), 0)
    const late = last.appendBatch(transactional({ producerId: 1, producerEpoch: 3, baseSequence: 2 }), 0)
    await expect(late).rejects.toMatchObject({ kafkaCode: 47 })
    await fencing
    expect(last.lastStableOffset).toBe(last.logEndOffset)
    expect((await last.abortedTransactions(0, 99))[0]).toMatchObject({ firstOffset: 2, lastOffset: 3 })
    await last.close()
  })

  it('of a log that is cut are as they were before the cut', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    const aborted = await filled(log, 12)
    const cutAt = aborted.at(-1)!.lastOffset
    await log.truncateTo(cutAt)
    expect(log.lastStableOffset).toBe(aborted.at(-1)!.firstOffset)
    expect(await log.abortedTransactions(0, cutAt)).toEqual(aborted.slice(0, -1))
    await log.appendBatch(marker({ producerId: aborted.at(-1)!.producerId, commit: true }), 0)
    expect(log.lastStableOffset).toBe(log.logEndOffset)
    await log.close()
    const again = await openLog(directory, { settings, cleanShutdown: true })
    expect(await again.abortedTransactions(0, again.logEndOffset)).toEqual(aborted.slice(0, -1))
    await again.close()
    expect((await readFile(`${directory}/leader-epoch-checkpoint`)).length).toBeGreaterThan(0)
  })
})

describe('aborted transactions that are asked for', () => {
  interface FakeSegment {
    baseOffset: number
    nextOffset: number
    isRetired: boolean
    path: string
    transactionIndex: TransactionIndex
  }

  const transactions: AbortedTransaction[] = [0, 1, 2, 3].map((n) => {
    return { producerId: 1, firstOffset: n * 10, lastOffset: n * 10 + 5 }
  })
  const entriesFrom = (from: number, to: number): FakeSegment => {
    const transactionIndex = TransactionIndex.empty(1000)
    for (const one of transactions.filter(({ lastOffset }) => lastOffset >= from && lastOffset < to)) {
      transactionIndex.append({ ...one, lastStableOffset: one.lastOffset + 1 })
    }
    return { baseOffset: from, nextOffset: to, isRetired: false, path: String(from), transactionIndex }
  }

  /** Four segments; `onPin` runs when the second one is pinned. */
  function stateOf(onPin: (state: { logStartOffset: number }, all: FakeSegment[]) => FakeSegment[]) {
    let all = [0, 10, 20, 30].map((from) => entriesFrom(from, from + 10))
    let isDone = false
    const state = {
      logStartOffset: 0,
      context: { directory: '/log' },
      segments: {
        get all() {
          return all
        },
        find: (offset: number) => all.findLast(({ baseOffset }) => baseOffset <= offset) ?? all[0]!,
      },
      pin: async (segment: FakeSegment) => {
        await Promise.resolve()
        if (segment.baseOffset === 10 && !isDone) {
          isDone = true
          all = onPin(state, all)
        }
        if (segment.isRetired) throw new PagelogError('PAGELOG_CLOSED', 'segment is no longer part of the log')
      },
      unpin: () => {},
      refusal: () => undefined,
      assertOpen: () => {},
    }
    return state as unknown as LogState
  }

  it('while compaction puts another segment in place of some are found all the same', async () => {
    const state = stateOf((_, all) => {
      for (const old of all.slice(1, 3)) old.isRetired = true
      return [all[0]!, entriesFrom(10, 30), all[3]!]
    })
    expect(await abortedTransactions(state, 0, 40)).toEqual(transactions)
  })

  it('of offsets that are trimmed meanwhile are refused: what is known of them would not be all', async () => {
    const state = stateOf((log, all) => {
      for (const old of all.slice(0, 2)) old.isRetired = true
      log.logStartOffset = 20
      return all.slice(2)
    })
    await expect(abortedTransactions(state, 0, 40)).rejects.toMatchObject({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE' })
    expect(await abortedTransactions(state, 20, 40)).toEqual(transactions.slice(2))
  })
})
