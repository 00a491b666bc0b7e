/**
 * Compaction against a model: random appends (half of the runs compressed, too), tombstones, transactions, trims, cuts and time, compactions, and crashes in
 * the middle of them, on a disk that loses what was not synced. At every moment the log holds nothing that was not
 * appended, and the newest record of every key.
 *
 *   PAGELOG_SEED=7 PAGELOG_RUNS=1000 npx vitest run test/log/compaction.fuzz.ts
 */
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import { LyingDisk, SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { compressBatch, loadCodec } from '../../src/record/index.ts'
import { compactSettings, HOUR_MS, machineOn, marker, type Pair, pairs, recordsIn } from './compaction-support.ts'

const PATH = '/data'
const OPERATIONS = 30

interface Appended {
  readonly offset: number
  readonly key: string
  readonly value: string | null
  /** Undefined: of no transaction. */
  readonly transaction: { state: 'open' | 'committed' | 'aborted' } | undefined
}

interface Producer {
  readonly id: number
  sequence: number
  open: { state: 'open' | 'committed' | 'aborted' } | undefined
}

class Life {
  readonly random: SeededRandom
  readonly clock = new VirtualClock()
  readonly lying: LyingDisk
  readonly hasTransactions: boolean
  readonly hasCodecs: boolean
  readonly settings
  readonly limits
  records: Appended[] = []
  readonly producers: Producer[] = [1, 2].map((id) => ({ id, sequence: 0, open: undefined }))
  directory!: LogDirectory
  log!: Log
  count = 0

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.lying = new LyingDisk({ seed, clock: this.clock, coldReads: 0 })
    this.hasTransactions = this.chance(0.6)
    this.hasCodecs = this.chance(0.5)
    this.settings = {
      ...compactSettings,
      segmentBytes: 400 + this.below(1200),
      deleteRetentionMs: this.below(3) * HOUR_MS,
    }
    this.limits = {
      cleanerEnable: false,
      cleanerDedupeBufferSize: 1 << 20,
      cleanerIoBufferSize: 8192,
    }
  }

  below(limit: number): number {
    return Math.floor(this.random.fraction() * limit)
  }
  chance(share: number): boolean {
    return this.random.fraction() < share
  }

  async open(): Promise<void> {
    const env = machineOn(this.lying.disk, this.clock, this.lying.seed)
    this.directory = await LogDirectory.open({ env, path: PATH, defaults: this.settings, settings: this.limits })
    expect([...this.directory.damaged]).toEqual([])
    this.log = await this.directory.create('table', 0)
  }

  /** Records of up to six keys. */
  rows(): Pair[] {
    return Array.from({ length: 1 + this.below(4) }, () => {
      const value = this.chance(0.25) ? null : `v${this.count++}${'.'.repeat(this.below(80))}`
      return [`k${this.below(6)}`, value]
    })
  }

  async append(): Promise<void> {
    const rows = this.rows()
    const producer = this.hasTransactions && this.chance(0.5) ? this.producers[this.below(2)]! : undefined
    if (producer !== undefined) producer.open ??= { state: 'open' }
    const fields = producer && { id: producer.id, sequence: producer.sequence, transactional: true }
    const plain = pairs(rows, this.clock.nowMs(), fields)
    const codec = this.hasCodecs ? this.below(4) : 0 // of those that every Node has
    const batch = codec === 0 ? plain : compressBatch(plain, await loadCodec(codec))
    const { baseOffset } = await this.log.appendBatch(batch, 0)
    if (producer !== undefined) producer.sequence += rows.length
    for (const [index, [key, value]] of rows.entries()) {
      this.records.push({ offset: baseOffset + index, key: key!, value, transaction: producer?.open })
    }
  }

  async end(): Promise<void> {
    const producer = this.producers[this.below(2)]!
    if (producer.open === undefined) return
    const isCommit = this.chance(0.5)
    await this.log.appendBatch(marker(producer.id, isCommit, this.clock.nowMs()), 0)
    producer.open.state = isCommit ? 'committed' : 'aborted'
    producer.open = undefined
  }

  async trim(): Promise<void> {
    const { logStartOffset, logEndOffset } = this.log
    await this.log.trimBefore(logStartOffset + this.below(Math.max(1, (logEndOffset - logStartOffset) / 3)))
  }

  async cut(): Promise<void> {
    if (this.hasTransactions) return // what is cut could have ended one
    const { logStartOffset, logEndOffset } = this.log
    const end = await this.log.truncateTo(logEndOffset - this.below(Math.max(1, (logEndOffset - logStartOffset) / 3)))
    // What compaction gave up for a newer record does not come back when that is cut.
    const left = new Set((await recordsIn(this.log)).map((record) => record.offset))
    this.records = this.records.filter(({ offset }) => left.has(offset) && offset < end)
    expect(this.log.firstDirtyOffset).toBeLessThanOrEqual(end)
  }

  async compact(): Promise<void> {
    const report = await this.log.compact({ seal: this.chance(0.8) })
    expect(report.recordsKept).toBeLessThanOrEqual(report.recordsRead)
    const seen = new Set<string>()
    for (const { offset, key } of await recordsIn(this.log)) {
      if (offset >= this.log.firstDirtyOffset) break
      expect(seen.has(key!) ? `two records of ${key}` : '').toBe('')
      seen.add(key!)
    }
  }

  /** Crashes at some step of a compaction, or before it, or behind it. */
  async crash(): Promise<void> {
    await this.log.flush()
    this.lying.stopAt(this.lying.steps + 1 + this.below(80))
    await this.log.compact().catch((error: unknown) => {
      if (!hasCode(error, 'PAGELOG_STORAGE') && !hasCode(error, 'PAGELOG_CORRUPT')) throw error
    })
    await this.directory.close({ clean: false }).catch(() => {})
    if (this.chance(0.7)) this.lying.crash()
    else this.lying.kill()
    await this.open()
  }

  async reopen(): Promise<void> {
    await this.directory.close()
    await this.open()
  }

  /** Nothing but what was appended, and all that must be there. */
  async check(): Promise<void> {
    const { logStartOffset } = this.log
    const appended = new Map(this.records.map((record) => [record.offset, record]))
    const found = new Map<string, string | null>()
    for (const { offset, key, value } of await recordsIn(this.log)) {
      const record = appended.get(offset)
      expect({ offset, key, value }).toEqual({ offset, key: record?.key, value: record?.value })
      if (record!.transaction?.state !== 'aborted') found.set(key!, value)
    }
    const expected = new Map<string, string | null>()
    for (const { offset, key, value, transaction } of this.records) {
      if (offset >= logStartOffset && transaction?.state !== 'aborted') expected.set(key, value)
    }
    expect(valuesOf(found)).toEqual(valuesOf(expected))
  }

  async step(): Promise<void> {
    const dice = this.random.fraction()
    if (dice < 0.5) await this.append()
    else if (dice < 0.6) await this.end()
    else if (dice < 0.75) await this.compact()
    else if (dice < 0.8) this.clock.advance(this.below(4) * HOUR_MS)
    else if (dice < 0.84) await this.trim()
    else if (dice < 0.88) await this.cut()
    else if (dice < 0.96) await this.crash()
    else await this.reopen()
  }
}

/** Deleted keys are as good as absent. */
function valuesOf(table: ReadonlyMap<string, string | null>): [string, string][] {
  return [...table].filter((entry): entry is [string, string] => entry[1] !== null).sort()
}

describe('compaction and its model', () => {
  const first = Number(process.env.PAGELOG_SEED ?? Math.floor(Math.random() * 2 ** 31))
  const runs = Number(process.env.PAGELOG_RUNS ?? 25)

  it(`agree, seeds ${first} to ${first + runs - 1}`, { timeout: 200_000 + runs * 2000 }, async () => {
    for (let seed = first; seed < first + runs; seed++) {
      const life = new Life(seed)
      await life.open()
      for (let operation = 0; operation < OPERATIONS; operation++) {
        try {
          await life.step()
          await life.check()
        } catch (error) {
          throw new Error(`PAGELOG_SEED=${seed} PAGELOG_RUNS=1, operation ${operation}`, { cause: error })
        }
      }
      await life.directory.close()
    }
  })
})
