import { describe, expect, it } from 'vitest'
import { type ProducerBatch, readProducerBatch } from '../../src/log/producer-batch.ts'
import { decodeSnapshot, encodeSnapshot, ProducerSnapshots } from '../../src/log/producer-snapshots.ts'
import { Admission, type ProducerEntry, ProducerState } from '../../src/log/producer-state.ts'
import { currentDisk, onEachDisk, readdir, readFile, writeFile } from './disks.ts'
import { batch, defaults, openLog, temporaryDirectory } from './support.ts'
import { marker, transactional } from './transaction-batches.ts'

/** Packed by hand with the layout of Kafka's ProducerSnapshot.json, the checksum by another CRC-32C. */
const FIXED = Buffer.from(
  '0001aa64fc6c0000000200000000000003e80003000000290000000000001388000000090000018bcfe5687b00000007' +
    '000000000000137400000100000000050000ffffffffffffffffffffffff000000000000018bcfe569c800000002ffffffffffffffff',
  'hex',
)
const ENTRIES: ProducerEntry[] = [
  {
    producerId: 1000,
    producerEpoch: 3,
    lastSequence: 41,
    lastOffset: 5000,
    offsetDelta: 9,
    timestampMs: 1_700_000_000_123,
    coordinatorEpoch: 7,
    transactionFirstOffset: 4980,
  },
  {
    producerId: 2 ** 40 + 5,
    producerEpoch: 0,
    lastSequence: -1,
    lastOffset: -1,
    offsetDelta: 0,
    timestampMs: 1_700_000_000_456,
    coordinatorEpoch: 2,
    transactionFirstOffset: -1,
  },
]

describe('a snapshot', () => {
  it("has Kafka's bytes", () => {
    expect(Buffer.from(encodeSnapshot(ProducerState.of(ENTRIES))).equals(FIXED)).toBe(true)
    expect(decodeSnapshot(FIXED, 5001)).toEqual(ENTRIES)
  })

  it('of no producers has ten bytes', () => {
    const empty = encodeSnapshot(new ProducerState())
    expect(empty.length).toBe(10)
    expect(decodeSnapshot(empty, 0)).toEqual([])
  })

  it('brings back the last batch of each producer and the open transactions', () => {
    const state = ProducerState.of(decodeSnapshot(FIXED, 5001)!)
    expect(state.duplicateOf(1000, 3, 32, 41)).toMatchObject({ baseOffset: 4991, lastOffset: 5000 })
    expect(state.admit(1000, 3, 42)).toBe(Admission.ACCEPTED)
    expect(state.admit(1000, 2, 42)).toBe(Admission.OLD_EPOCH)
    expect(state.admitMarker(1000, 3, 6)).toBe(Admission.OLD_COORDINATOR)
    expect([state.firstUnstableOffset, state.openTransactions]).toEqual([4980, 1])
  })

  it('is none at any other length, with any other bit, of another version or of a later offset', () => {
    for (let length = 0; length < FIXED.length; length++) {
      expect(decodeSnapshot(FIXED.subarray(0, length), 5001)).toBeUndefined()
    }
    for (let bit = 0; bit < FIXED.length * 8; bit++) {
      const flipped = Uint8Array.from(FIXED)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(decodeSnapshot(flipped, 5001)).toBeUndefined()
    }
    expect(decodeSnapshot(FIXED, 5000)).toBeUndefined()
  })

  it('has all batches that are remembered: whoever repeats several after a restart finds each', () => {
    const state = new ProducerState()
    const batches = Array.from({ length: 7 }, (_, at) => ({
      ...readProducerBatch(transactional({ producerId: 1, baseSequence: at }), 0, at)!,
      baseOffset: at,
      lastOffset: at,
    }))
    for (const batch of batches) state.replay(batch)
    const again = ProducerState.of(decodeSnapshot(encodeSnapshot(state), 7)!)
    const offsets = batches.map(
      ({ firstSequence }) => again.duplicateOf(1, 0, firstSequence, firstSequence)?.baseOffset,
    )
    expect(offsets).toEqual([undefined, undefined, 2, 3, 4, 5, 6])
    expect(again.admit(1, 0, 7)).toBe(Admission.ACCEPTED)
    expect([...again.entries()]).toEqual([...state.entries()])
  })

  it('leaves out what is still on its way', () => {
    const state = new ProducerState()
    const read = (bytes: Uint8Array, offset: number): ProducerBatch => readProducerBatch(bytes, 0, offset)!
    const first = read(transactional({ producerId: 1 }), 0)
    state.reserve(first)
    state.commit(first)
    state.reserve(read(transactional({ producerId: 1, baseSequence: 1 }), 1))
    state.reserve(read(transactional({ producerId: 2 }), 2))
    expect([...state.entries()].map((entry) => [entry.producerId, entry.lastOffset])).toEqual([[1, 0]])
    expect(decodeSnapshot(encodeSnapshot(state), 1)?.length).toBe(1)
  })
})

const snapshotsIn = async (directory: string): Promise<number[]> =>
  (await readdir(directory)).filter((name) => name.endsWith('.snapshot')).map((name) => Number(name.slice(0, 20)))

onEachDisk('the snapshots of a log', () => {
  const settings = { ...defaults, segmentBytes: 1000 }

  it('are taken at every roll and at a clean close, and those in the middle of segments go', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 20; index++)
      await log.appendBatch(transactional({ producerId: 1, baseSequence: index }), 0)
    await log.close()
    const bases = (await readdir(directory))
      .filter((name) => name.endsWith('.log'))
      .map((name) => Number(name.slice(0, 20)))
    expect(await snapshotsIn(directory)).toEqual([...bases.slice(1), 20])
    const again = await openLog(directory, { settings, cleanShutdown: true })
    await again.appendBatch(batch(), 0)
    await again.close()
    expect(await snapshotsIn(directory)).toEqual([...bases.slice(1), 21])
  })

  it('are used newest first, a damaged one passed over, and the batches behind it replayed', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 20; index++)
      await log.appendBatch(transactional({ producerId: 1, baseSequence: index }), 0)
    await log.close()
    const offsets = await snapshotsIn(directory)
    for (let damagedCount = 0; damagedCount <= offsets.length; damagedCount++) {
      const state = new ProducerSnapshots(currentDisk(), directory, offsets)
      const newestGood = offsets.at(-1 - damagedCount) ?? 0
      expect((await state.loadLatest(20, 0)).offset).toBe(newestGood)
      const again = await openLog(directory, { settings, cleanShutdown: true })
      // As many of the last five as the log has behind the snapshot, the one in the snapshot always.
      expect(await again.appendBatch(transactional({ producerId: 1, baseSequence: 19 }), 0)).toMatchObject({
        baseOffset: 19,
        duplicate: true,
      })
      const known = Math.min(5, 20 - newestGood + (newestGood > 0 ? 1 : 0))
      for (let back = 0; back < known; back++) {
        const repeated = transactional({ producerId: 1, baseSequence: 19 - back })
        expect(await again.appendBatch(repeated, 0)).toMatchObject({ baseOffset: 19 - back, duplicate: true })
      }
      expect([again.producerCount, again.lastStableOffset]).toEqual([1, 0])
      await again.close({ clean: false })
      const victim = offsets.at(-1 - damagedCount)
      if (victim === undefined) break
      const path = `${directory}/${String(victim).padStart(20, '0')}.snapshot`
      await writeFile(path, (await readFile(path)).subarray(0, 30))
    }
  })

  it('beyond the end of a log that was cut are removed, and so are all but the newest before its start', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 60; index++)
      await log.appendBatch(transactional({ producerId: 1, baseSequence: index }), 0)
    await log.appendBatch(marker({ producerId: 1, commit: true }), 0)
    await log.truncateTo(50)
    expect((await snapshotsIn(directory)).every((offset) => offset <= 50)).toBe(true)
    await log.trimBefore(40)
    const left = await snapshotsIn(directory)
    expect(left.filter((offset) => offset <= 40).length).toBe(1)
    expect(log.lastStableOffset).toBe(40)
    await log.close()
  })
})
