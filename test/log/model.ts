/**
 * A log directory on a lying disk beside a model of it: for each log the list of batches that were asked to be stored,
 * in order, and what is known of each. After every restart the log must be a prefix of that list, byte for byte, that
 * holds all that was promised:
 *
 *   after the end of the process   everything that was answered
 *   after a power loss             everything that was synced: flush, flush.messages, the recovery point, a clean close
 *
 * In half of the lives one of the logs is a table: it has keys and tombstones, and is compacted, when it is told to and by itself. What it holds
 * must have been appended at that offset, and its keys must have the values that they would have without compaction.
 */
import { expect } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import { type DiskOperation, type Fault, LyingDisk, SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory, type LogSettings } from '../../src/log/index.ts'
import { type Pair, pairs, recordsIn } from './compaction-support.ts'
import { batch, readAll } from './support.ts'

const PATH = '/data'
const PRODUCER = 7
const TABLE = 'table'
/** Small buffers, so that batches are moved about in them. */
const LIMITS = { cleanerIoBufferSize: 16_384, cleanerDedupeBufferSize: 1 << 20 }

export type Step =
  | {
      kind: 'append'
      log: number
      counts: number[]
      valueBytes: number
      isIdempotent: boolean
      durability: 'os' | 'fsync'
      isAwaited: boolean
    }
  | {
      kind: 'put'
      batches: (readonly [key: number, valueBytes: number])[][]
      durability: 'os' | 'fsync'
      isAwaited: boolean
    }
  | { kind: 'compact'; seal: boolean; isAwaited: boolean }
  | { kind: 'flush'; log: number }
  | { kind: 'read'; log: number; at: number; maxBytes: number }
  | { kind: 'trim'; log: number; at: number }
  | { kind: 'truncate'; log: number; back: number }
  | { kind: 'retain'; log: number }
  | { kind: 'wait'; ms: number }
  | { kind: 'fail'; operation: DiskOperation; error: Fault['error']; nth: number; times: number }
  | { kind: 'fill'; freeBytes: number }
  | { kind: 'stopLater'; steps: number }
  | { kind: 'restart'; how: 'clean' | 'unclean' | 'kill' | 'crash'; againAt: number }

interface Entry {
  readonly value: string
  readonly count: number
  readonly isIdempotent: boolean
  /** Of the table. */
  readonly pairs?: readonly Pair[]
  /** Unknown: under way, or refused in a way that leaves open what became of it. */
  state: 'unknown' | 'answered'
}

/** What is known of one log. */
class Expected {
  readonly partition: number
  log!: Log
  entries: Entry[] = []
  /** Exclusive; promised to outlive the process, and a power loss. */
  answered = 0
  synced = 0
  /** The log start offset is between these. */
  startMin = 0
  startMax = 0
  made = 0
  /** Batches of the idempotent producer are gone that no snapshot covers: nothing is expected of it any more. */
  isProducerLost = false

  constructor(partition: number) {
    this.partition = partition
  }

  get end(): number {
    return this.entries.reduce((sum, { count }) => sum + count, 0)
  }
  get values(): string[] {
    return this.entries.flatMap(({ value, count }) => Array.from({ length: count }, () => value))
  }

  baseOf(entry: Entry): number {
    let base = 0
    for (const one of this.entries) {
      if (one === entry) return base
      base += one.count
    }
    throw new Error('a batch that was refused is answered')
  }

  /** Base offset of the batch that holds `offset`. */
  floor(offset: number): number {
    let base = 0
    for (const { count } of this.entries) {
      if (base + count > offset) return base
      base += count
    }
    return base
  }

  /**
   * The batches before `end` are all there is. When the start of the log lay within the one that was cut, the log ends
   * there, so that its offsets are not given out again.
   */
  cut(end: number, start: number): void {
    let base = 0
    this.entries = this.entries.filter(({ count }) => {
      base += count
      return base <= end
    })
    const gap = end - this.end
    if (gap > 0) this.entries.push({ value: 'cut', count: gap, isIdempotent: false, state: 'answered' })
    if (gap > 0) this.isProducerLost = true
    expect(gap === 0 || end === start).toBe(true)
    this.answered = Math.min(this.answered, end)
    this.synced = Math.min(this.synced, end)
  }
}

export class Model {
  readonly machine: LyingDisk
  readonly #clock = new VirtualClock()
  readonly #random: SeededRandom
  readonly #settings: LogSettings
  readonly #logs: Expected[]
  readonly #table: Expected | undefined
  readonly #underWay = new Set<Promise<unknown>>()
  #directory!: LogDirectory
  /** Calls may fail: a fault was injected, the disk filled, or the power will go. */
  #isFaulty = false
  readonly #failures: unknown[] = []

  constructor(seed: number, settings: LogSettings, hasTable: boolean) {
    this.machine = new LyingDisk({ seed, clock: this.#clock })
    this.#random = new SeededRandom(seed)
    this.#settings = settings
    this.#logs = [new Expected(0), new Expected(1)]
    this.#table = hasTable ? this.#logs[1] : undefined
  }

  async start(): Promise<void> {
    await this.#open()
    for (const expected of this.#logs) {
      expected.log = await this.#directory.create(this.#topicOf(expected), expected.partition)
    }
  }

  async run(step: Step): Promise<void> {
    await this.#tolerant(() => this.#do(step))
    this.#note()
    if (this.machine.isOff || this.#directory.offline) await this.restart('crash')
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  /** Everything is answered, closed, opened and read once more. */
  async finish(): Promise<void> {
    await this.restart('clean')
    await this.restart('crash')
    for (const expected of this.#logs) {
      await expected.log.appendBatch(batch({ key: 'last' }), 0)
    }
    await this.#directory.close()
    expect(this.machine.repeatedSyncs).toEqual([])
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  async restart(how: 'clean' | 'unclean' | 'kill' | 'crash', againAt = 0): Promise<void> {
    let lost = how === 'crash'
    if (how === 'clean' || how === 'unclean') {
      const isClosed = await this.#tolerant(() => this.#directory.close({ clean: how === 'clean' }))
      await Promise.allSettled(this.#underWay)
      this.#note()
      const isClean = isClosed && how === 'clean' && !this.#directory.offline
      if (isClean) for (const expected of this.#logs) expected.synced = expected.end
      // What a failed sync should have written is not on the device, although reads still find it.
      lost = this.#directory.offline || this.machine.isOff || !isClosed
    }
    this.#note()
    this.#isFaulty = true
    if (lost) this.machine.crash()
    else this.machine.kill()
    await Promise.allSettled(this.#underWay)
    await this.#directory.close({ clean: false }).catch(() => {})
    this.machine.capacityBytes = 1 << 30
    this.#isFaulty = false
    if (againAt > 0) {
      // The power goes while it is being recovered.
      this.machine.stopAt(this.machine.steps + againAt)
      await LogDirectory.open(this.#options).then(
        (opened) => opened.close({ clean: false }).catch(() => {}),
        () => {},
      )
      if (this.machine.isOff) lost = true
      if (lost) this.machine.crash()
      else this.machine.kill()
    }
    await this.#open()
    for (const expected of this.#logs) await this.#compare(expected, lost)
  }

  get #options(): Parameters<typeof LogDirectory.open>[0] {
    const env = { disk: this.machine.disk, clock: this.#clock, random: this.#random }
    const segmentBytes = Math.ceil(this.#settings.segmentBytes / 4)
    const tableSettings: LogSettings = {
      ...this.#settings,
      segmentBytes,
      cleanupPolicy: ['compact'],
      retentionBytes: -1,
    }
    const settingsOf = (topic: string): LogSettings => (topic === TABLE ? tableSettings : this.#settings)
    return { env, path: PATH, defaults: this.#settings, settingsOf, settings: LIMITS }
  }

  #topicOf(expected: Expected): string {
    return expected === this.#table ? TABLE : 't'
  }

  async #open(): Promise<void> {
    this.#directory = await LogDirectory.open(this.#options)
    expect([...this.#directory.damaged.values()]).toEqual([])
  }

  /** After a restart: the log is what it may be; from now on the model is that. */
  async #compare(expected: Expected, lost: boolean): Promise<void> {
    const found = this.#directory.get(this.#topicOf(expected), expected.partition)!
    expected.log = found
    const promised = lost ? expected.synced : expected.answered
    expect(found.logEndOffset).toBeGreaterThanOrEqual(promised)
    expect(found.logStartOffset).toBeGreaterThanOrEqual(expected.startMin)
    expect(found.logStartOffset).toBeLessThanOrEqual(Math.min(expected.startMax, expected.end))
    expected.startMin = found.logStartOffset
    expected.startMax = found.logStartOffset
    expected.cut(found.logEndOffset, found.logStartOffset)
    for (const entry of expected.entries) entry.state = 'answered'
    expected.answered = expected.end
    if (expected === this.#table) return await this.#checkTable(expected)
    await this.#check(expected, found.logStartOffset, 100_000)
    await this.#checkDuplicate(expected)
  }

  /** What is stored from `offset` on is what the model has. */
  async #check(expected: Expected, offset: number, maxBytes: number): Promise<void> {
    const { answered } = expected
    const records = await readAll(expected.log, offset, maxBytes)
    const values = expected.values.slice(offset)
    expect(records.map(({ value }) => value)).toEqual(values.slice(0, records.length))
    expect(offset + records.length).toBeGreaterThanOrEqual(answered)
  }

  /** What the table holds was appended there, and what compaction took away makes no difference. */
  async #checkTable({ log, entries }: Expected): Promise<void> {
    const appended = new Map<number, Pair>()
    let offset = 0
    for (const { pairs: rows, count } of entries) {
      for (const [index, row] of (rows ?? []).entries()) appended.set(offset + index, row)
      offset += count
    }
    const found = new Map<string, string>()
    for (const { offset: at, key, value } of await recordsIn(log)) {
      expect([at, key, value]).toEqual([at, ...(appended.get(at) ?? [])])
      put(found, [key, value])
    }
    const expected = new Map<string, string>()
    for (const [at, row] of appended) if (at >= log.logStartOffset && at < log.logEndOffset) put(expected, row)
    expect([...found].sort()).toEqual([...expected].sort())
  }

  /** The last batch of the idempotent producer is known again. */
  async #checkDuplicate(expected: Expected): Promise<void> {
    const entry = expected.entries.findLast(({ isIdempotent }) => isIdempotent)
    if (entry === undefined || expected.isProducerLost) return
    if (expected.baseOf(entry) < expected.log.logStartOffset) return
    const sequence = this.#sequenceAt(expected, entry)
    const result = await expected.log.appendBatch(bytesOf(entry, sequence), 0)
    expect(result).toMatchObject({ duplicate: true, baseOffset: expected.baseOf(entry) })
  }

  async #do(step: Step): Promise<void> {
    const expected = this.#logs['log' in step ? step.log % this.#logs.length : 0]!
    switch (step.kind) {
      case 'append':
        return await this.#append(expected, step)
      case 'put':
        return await this.#put(step)
      case 'compact':
        return await this.#compact(step)
      case 'flush': {
        const end = expected.log.logEndOffset
        await expected.log.flush()
        expect(expected.log.recoveryPoint).toBeGreaterThanOrEqual(end)
        expected.synced = Math.max(expected.synced, end)
        return
      }
      case 'read': {
        if (expected === this.#table) {
          await Promise.allSettled(this.#underWay)
          return await this.#checkTable(expected)
        }
        const { logStartOffset, logEndOffset } = expected.log
        const offset = logStartOffset + (step.at % (logEndOffset - logStartOffset + 1))
        return await this.#check(expected, offset, step.maxBytes)
      }
      case 'trim':
        return await this.#trim(expected, step.at)
      case 'truncate':
        return await this.#truncate(expected, step.back)
      case 'retain': {
        expected.startMax = expected.log.logEndOffset
        const { logStartOffset } = await expected.log.applyRetention()
        expected.startMin = expected.startMax = logStartOffset
        return
      }
      case 'wait':
        this.#clock.advance(step.ms)
        return
      case 'fail':
        this.#isFaulty = true
        this.machine.inject(step)
        return
      case 'fill':
        this.#isFaulty = true
        this.machine.capacityBytes = this.machine.usedBytes + step.freeBytes
        return
      case 'stopLater':
        this.#isFaulty = true
        this.machine.stopAt(this.machine.steps + step.steps)
        return
      case 'restart':
        return await this.restart(step.how, step.againAt)
    }
  }

  async #append(expected: Expected, step: Extract<Step, { kind: 'append' }>): Promise<void> {
    if (expected === this.#table) return
    await new Promise(setImmediate) // what was refused is known
    const appends = step.counts.map((count) => {
      const value = `${expected.partition}/${expected.made++}/${'v'.repeat(step.valueBytes)}`
      const isIdempotent = step.isIdempotent && !expected.isProducerLost
      const entry: Entry = { value, count, isIdempotent, state: 'unknown' }
      expected.entries.push(entry)
      const sequence = isIdempotent ? this.#sequenceAt(expected, entry) : -1
      return this.#appendEntry(expected, entry, bytesOf(entry, sequence), step.durability)
    })
    if (step.isAwaited) await Promise.all(appends)
  }

  async #put(step: Extract<Step, { kind: 'put' }>): Promise<void> {
    const table = this.#table
    if (table === undefined) return
    await new Promise(setImmediate)
    const appends = step.batches.map((batchRows) => {
      const rows = batchRows.map(([key, valueBytes]): Pair => {
        return [`k${key}`, valueBytes === 0 ? null : `${table.made++}/${'v'.repeat(valueBytes)}`]
      })
      const entry: Entry = { value: '', count: rows.length, isIdempotent: false, pairs: rows, state: 'unknown' }
      table.entries.push(entry)
      return this.#appendEntry(table, entry, pairs(rows, this.#clock.nowMs()), step.durability)
    })
    if (step.isAwaited) await Promise.all(appends)
  }

  #appendEntry(expected: Expected, entry: Entry, bytes: Uint8Array, durability: 'os' | 'fsync'): Promise<unknown> {
    const appending = expected.log.append(bytes, { durability }).then(
      ({ baseOffset, lastOffset }) => {
        expect([baseOffset, lastOffset]).toEqual([expected.baseOf(entry), expected.baseOf(entry) + entry.count - 1])
        entry.state = 'answered'
        expected.answered = Math.max(expected.answered, lastOffset + 1)
        if (this.#settings.flushMessages === 1 || durability === 'fsync')
          expected.synced = Math.max(expected.synced, lastOffset + 1)
      },
      (error: unknown) => {
        // Nothing of it is kept; all other failures leave open what became of it.
        if (hasCode(error, 'PAGELOG_DISK_FULL')) expected.entries.splice(expected.entries.indexOf(entry), 1)
        throw error
      },
    )
    return this.#track(appending)
  }

  async #compact(step: Extract<Step, { kind: 'compact' }>): Promise<void> {
    const log = this.#table?.log
    if (log === undefined) return
    const compacting = log.compact({ seal: step.seal }).then(
      () => {},
      (error: unknown) => {
        // It ends when the log is cut or closed; a disk without power has nothing that can be read.
        const isOver = hasCode(error, 'PAGELOG_ABORTED') || hasCode(error, 'PAGELOG_CLOSED')
        if (!isOver && !(this.#isFaulty && hasCode(error, 'PAGELOG_CORRUPT'))) throw error
      },
    )
    this.#track(compacting).catch(() => {})
    if (!step.isAwaited) return
    await compacting
    const seen = new Set<string>()
    for (const { offset, key } of await recordsIn(log)) {
      if (offset >= log.firstDirtyOffset) break
      expect(seen.has(key!) ? `two records of ${key}` : '').toBe('')
      seen.add(key!)
    }
  }

  async #trim(expected: Expected, at: number): Promise<void> {
    const { logStartOffset, logEndOffset } = expected.log
    const offset = logStartOffset + (at % (logEndOffset - logStartOffset + 1))
    expected.startMax = Math.max(expected.startMax, offset)
    await expected.log.trimBefore(offset)
    expect(expected.log.logStartOffset).toBe(offset)
    expected.startMin = expected.startMax = offset
  }

  async #truncate(expected: Expected, back: number): Promise<void> {
    await Promise.allSettled(this.#underWay)
    const { logStartOffset, logEndOffset } = expected.log
    // What compaction gave up for a newer record does not come back when that is cut.
    if (expected === this.#table) return
    if (expected.end !== logEndOffset) return // some of it is in doubt
    const offset = logEndOffset - (back % (logEndOffset - logStartOffset + 1))
    const end = Math.max(expected.floor(offset), logStartOffset)
    expected.answered = Math.min(expected.answered, end)
    expected.synced = Math.min(expected.synced, end)
    expect(await expected.log.truncateTo(offset)).toBe(end)
    expected.cut(end, logStartOffset)
  }

  /** The sequence that the idempotent producer gives the records of `entry`. */
  #sequenceAt(expected: Expected, entry: Entry): number {
    let sequence = 0
    for (const one of expected.entries) {
      if (one === entry) break
      if (one.isIdempotent) sequence += one.count
    }
    return sequence
  }

  /** What the logs claim to have synced. */
  #note(): void {
    for (const expected of this.#logs) expected.synced = Math.max(expected.synced, expected.log.recoveryPoint)
  }

  #track(work: Promise<unknown>): Promise<unknown> {
    const tracked = work
      .catch((error: unknown) => {
        if (!this.#mayFail(error)) this.#failures.push(error)
      })
      .finally(() => this.#underWay.delete(tracked))
    this.#underWay.add(tracked)
    return work
  }

  /** False: it failed, as it may. */
  async #tolerant(work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      if (!this.#mayFail(error)) throw error
      return false
    }
  }

  #mayFail(error: unknown): boolean {
    if (hasCode(error, 'PAGELOG_DISK_FULL')) return this.#isFaulty
    return (hasCode(error, 'PAGELOG_STORAGE') || hasCode(error, 'PAGELOG_CLOSED')) && this.#isFaulty
  }
}

/** A key that is deleted is as good as absent. */
function put(table: Map<string, string>, [key, value]: Pair): void {
  if (value === null) table.delete(key!)
  else table.set(key!, value)
}

function bytesOf({ value, count, isIdempotent }: Entry, sequence: number): Uint8Array {
  const producer = { producerId: PRODUCER, producerEpoch: 0, baseSequence: sequence }
  return batch({ value, count, ...(isIdempotent ? producer : {}) })
}
