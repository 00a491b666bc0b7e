/**
 * The power goes, or the process ends, before every single step of compactions: the same key has the same newest value
 * afterwards, and a compaction that runs then ends where the other would have (reliability L8).
 */
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import { LyingDisk, VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { compactSettings, HOUR_MS, type Machine, machineOn, type Pair, pairs, tableOf } from './compaction-support.ts'

const PATH = '/data'
/** Tombstones may go in the next compaction: a value that comes back would be seen. */
const settings = { ...compactSettings, segmentBytes: 700, deleteRetentionMs: HOUR_MS }

class Life {
  readonly lying: LyingDisk
  readonly clock = new VirtualClock()
  machine: Machine
  /** In order; all of them are on the device while a compaction runs. */
  readonly appended: Pair[] = []
  /** Those of the disk that were a compaction's. */
  readonly steps: number[] = []
  directory: LogDirectory | undefined

  constructor(seed: number) {
    this.lying = new LyingDisk({ seed, clock: this.clock })
    this.machine = machineOn(this.lying.disk, this.clock, seed)
  }

  async open(): Promise<Log> {
    this.machine = machineOn(this.lying.disk, this.clock, this.lying.seed)
    this.directory = await LogDirectory.open({
      env: this.machine,
      path: PATH,
      defaults: settings,
      settings: { cleanerEnable: false },
    })
    return await this.directory.create('table', 0)
  }

  async put(log: Log, records: readonly Pair[]): Promise<void> {
    for (const record of records) {
      this.appended.push(record)
      await log.appendBatch(pairs([record], this.clock.nowMs()), 0)
    }
    await log.flush()
  }

  async run(): Promise<void> {
    const log = await this.open()
    await this.put(log, rows(0, 11))
    await this.compact(log)
    await this.put(log, rows(11, 3))
    this.clock.advance(2 * HOUR_MS)
    await this.compact(log)
    await this.directory!.close()
  }

  async compact(log: Log): Promise<void> {
    const first = this.lying.steps + 1
    await log.compact()
    for (let step = first; step <= this.lying.steps; step++) this.steps.push(step)
  }

  /** What all appends make. */
  table(): string {
    const table = new Map<string, string>()
    for (const [key, value] of this.appended) {
      if (value === null) table.delete(key!)
      else table.set(key!, value)
    }
    return JSON.stringify([...table].sort())
  }
}

/** Values and, now and then, tombstones of four keys. */
function rows(from: number, count: number): Pair[] {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index
    return [`k${number % 4}`, number % 7 === 3 ? null : `v${number} ${'.'.repeat(60)}`]
  })
}

async function stepsOf(seed: number): Promise<number[]> {
  const life = new Life(seed)
  await life.run()
  return life.steps
}

async function dieAt(step: number, seed: number, isPowerLoss: boolean): Promise<void> {
  const life = new Life(seed)
  life.lying.stopAt(step)
  await life.run().catch((error: unknown) => {
    const expected = ['PAGELOG_STORAGE', 'PAGELOG_CLOSED', 'PAGELOG_CORRUPT'] as const // what cannot be read is damaged
    if (!expected.some((code) => hasCode(error, code))) throw error
  })
  await life.directory?.close({ clean: false }).catch(() => {})
  if (isPowerLoss) life.lying.crash()
  else life.lying.kill()
  const log = await life.open()
  expect([...(life.directory?.damaged ?? [])]).toEqual([])
  const table = async () => JSON.stringify(Object.entries(await tableOf(log)))
  const survived = await table()
  expect(survived).toBe(life.table())
  await log.compact()
  expect(await table()).toBe(survived)
  life.clock.advance(2 * HOUR_MS)
  await log.appendBatch(pairs([['k9', 'after']], life.clock.nowMs()), 0)
  await log.compact()
  expect(await tableOf(log)).toEqual({ ...Object.fromEntries(JSON.parse(survived)), k9: 'after' })
  await life.directory!.close()
  const again = await life.open()
  expect(await tableOf(again)).toEqual({ ...Object.fromEntries(JSON.parse(survived)), k9: 'after' })
  await life.directory!.close()
}

describe.each([
  ['the power goes', true, 1],
  ['the process ends', false, 3], // which the other covers but for what is lost
])('%s at a step of a compaction', (_, isPowerLoss, stride) => {
  it('the table is what it was', { timeout: 400_000 }, async () => {
    const seed = Number(process.env.PAGELOG_SEED ?? 20261121)
    const steps = await stepsOf(seed)
    expect(steps.length).toBeGreaterThan(60)
    for (const step of steps.filter((one) => one % stride === 0)) {
      try {
        await dieAt(step, seed, isPowerLoss)
      } catch (error) {
        throw new Error(`before step ${step}, PAGELOG_SEED=${seed}`, { cause: error })
      }
    }
  })
})
