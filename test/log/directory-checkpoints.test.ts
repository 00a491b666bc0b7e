/** What the offset checkpoints of a directory say of its logs, and how often they are written. */
import { describe, expect, it } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { LyingDisk, VirtualClock } from '../../src/env/simulated/index.ts'
import { LogDirectory } from '../../src/log/index.ts'
import { OffsetCheckpointWriter } from '../../src/log/offset-checkpoint-writer.ts'
import { batchSize } from '../../src/record/index.ts'
import { machineOn } from './compaction-support.ts'
import { batch, defaults, FailingDisk } from './support.ts'

const compacted = { ...defaults, cleanupPolicy: ['compact'] as const, segmentBytes: 400, fileDeleteDelayMs: 0 }
const CHECKPOINT = '/data/recovery-point-offset-checkpoint'

describe('a compacted log', () => {
  /** Appends, and loses the end of the second segment, not synced, as a power loss may; the next open then. */
  async function reopenedWithoutTheEndOfASegment(how: 'new' | 'no checkpoint file') {
    const disk = memoryDisk()
    const open = () => LogDirectory.open({ env: machineOn(disk), path: '/data', defaults: compacted })
    const directory = await open()
    const log = await directory.create('table', 0)
    for (let index = 0; index < 20; index++) await log.appendBatch(batch({ key: `${index}`, value: 'value' }), 0)
    await log.close({ clean: false })
    await directory.close({ clean: false })
    if (how === 'no checkpoint file') await disk.unlink(CHECKPOINT)
    const names = (await disk.list('/data/table-0')).filter((name) => name.endsWith('.log')).sort()
    const file = await disk.open(`/data/table-0/${names[1]}`, 'write')
    const header = new Uint8Array(100)
    await file.read(header, 0)
    await file.truncate(batchSize(header, 0))
    await file.close()
    return { first: Number.parseInt(names[1]!, 10), directory: await open(), open }
  }

  it('that is younger than the first checkpoint ends where a tail was lost, as every other', async () => {
    const { first, directory } = await reopenedWithoutTheEndOfASegment('new')
    const log = directory.get('table', 0)!
    expect(log.logEndOffset).toBe(first + 1)
    expect(log.recovery.reason).toContain('ends at offset')
    await directory.close()
  })

  it('of which no file knows whether it was compacted keeps what is there, also after the next crash', async () => {
    const { directory, open } = await reopenedWithoutTheEndOfASegment('no checkpoint file')
    expect(directory.get('table', 0)!.logEndOffset).toBe(20)
    await directory.close({ clean: false })
    const again = await open()
    expect(again.get('table', 0)!.logEndOffset).toBe(20)
    await again.close()
  })
})

describe('a partition that was removed and begun again', () => {
  it('is repaired by what it is, not by what the checkpoints said of the first', async () => {
    const disk = memoryDisk()
    const open = () => LogDirectory.open({ env: machineOn(disk), path: '/data', defaults })
    const first = await open()
    const old = await first.create('t', 0)
    for (let index = 0; index < 10; index++) await old.appendBatch(batch(), 0)
    await old.flush()
    await old.trimBefore(8)
    await first.close()
    const directory = await open()
    await directory.remove('t', 0)
    const log = await directory.create('t', 0)
    for (let index = 0; index < 3; index++) await log.appendBatch(batch(), 0)
    await log.flush()
    // Twice: the first leaves it damaged, so that the second goes by what the directory remembers of it.
    const file = await disk.open(`${log.directory}/00000000000000000000.log`, 'write')
    await file.write([Uint8Array.of(0xff)], 16)
    await file.close()
    const report = await directory.repair('t', 0)
    expect(report.remaining).not.toEqual([])
    expect(directory.get('t', 0)).toBeUndefined()
    await directory.repair('t', 0, { damagedBatches: 'truncate' })
    const repaired = directory.get('t', 0)!
    expect([repaired.logStartOffset, repaired.logEndOffset]).toEqual([0, 0])
    await repaired.appendBatch(batch(), 0)
    await directory.close()
  })
})

describe('OffsetCheckpointWriter', () => {
  it('writes once for all who ask in one turn, and once more for those who ask while it writes', async () => {
    const failing = new FailingDisk(memoryDisk())
    const env = { disk: failing.disk, clock: new VirtualClock() }
    const offsets = new Map([0, 1, 2].map((partition) => [partition, 0]))
    const entries = () => [...offsets].map(([partition, offset]) => ({ topic: 't', partition, offset }))
    const writer = new OffsetCheckpointWriter(env, '/offsets', true, entries)
    const raise = (partition: number, offset: number) =>
      writer.writeAhead(`t-${partition}`, offset, () => offsets.set(partition, offset))
    const isSaid = async (...lines: number[]): Promise<void> => {
      const said = new TextDecoder().decode((await failing.disk.readFile('/offsets'))!)
      expect(said).toBe(`0\n3\n${lines.map((offset, partition) => `t ${partition} ${offset}\n`).join('')}`)
    }
    await Promise.all([raise(0, 10), raise(1, 20), raise(2, 30)])
    expect(failing.count('replaceFile')).toBe(1)
    await isSaid(10, 20, 30)
    const earlier = raise(0, 11)
    while (failing.count('replaceFile') < 2) await new Promise(setImmediate)
    await Promise.all([earlier, raise(1, 21), raise(2, 31)])
    expect(failing.count('replaceFile')).toBe(3)
    await isSaid(11, 21, 31)
    expect([...offsets.values()]).toEqual([11, 21, 31])
  })
})

describe('a new directory', () => {
  it('has a checkpoint of recovery points before its first partition', async () => {
    const lying = new LyingDisk({ seed: 1 })
    const directory = await LogDirectory.open({ env: machineOn(lying.disk), path: '/data', defaults })
    lying.crash()
    await directory.close({ clean: false }).catch(() => {})
    expect(new TextDecoder().decode((await lying.disk.readFile(CHECKPOINT))!)).toBe('0\n0\n')
  })
})
