/**
 * The power goes before every single step of a scripted life, and it comes back: all that was synced is there, the log is
 * a prefix of what was appended, and nothing keeps it from starting (reliability D5). The script rolls segments, writes
 * indexes, checkpoints and snapshots, begins an epoch, trims, truncates, compacts and deletes by retention.
 */
import { describe, expect, it } from 'vitest'
import { PagelogError } from '../../src/base/index.ts'
import { inThreadWorkers } from '../../src/env/index.ts'
import { LyingDisk, SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { batch, defaults, type StoredRecord } from './support.ts'

const PATH = '/data'
const settings = { ...defaults, segmentBytes: 700, indexIntervalBytes: 100, fileDeleteDelayMs: 0, retentionMs: -1 }
/** Hundreds of lives need no large ones. */
const SMALL_BUFFERS = { cleanerDedupeBufferSize: 1 << 20, cleanerIoBufferSize: 8192 }
const compacted = { ...settings, cleanupPolicy: ['compact'] as const, deleteRetentionMs: 0 }

/** What is promised of one log at some moment. */
class Promised {
  /** By offset; undefined where nothing was appended, or where it was cut. */
  values: string[] = []
  synced = 0
  startMin = 0
  startMax = 0
  /** Or about to be. */
  isRemoved = false
  /** Lowest end that a truncation under way may leave. */
  cutTo = Number.POSITIVE_INFINITY
  log: Log | undefined

  note(): void {
    if (this.log !== undefined && this.log.recoveryPoint > this.synced) this.synced = this.log.recoveryPoint
  }
}

class Life {
  readonly machine: LyingDisk
  readonly clock = new VirtualClock()
  readonly plain = new Promised()
  readonly keyed = new Promised()
  directory: LogDirectory | undefined

  constructor(seed: number) {
    this.machine = new LyingDisk({ seed, clock: this.clock })
  }

  async open(): Promise<LogDirectory> {
    const { machine, clock } = this
    const workers = inThreadWorkers({ disk: machine.disk, clock })
    const env = { disk: machine.disk, clock, random: new SeededRandom(machine.seed), workers }
    const settingsOf = (topic: string) => (topic === 'keyed' ? compacted : settings)
    const options = { env, path: PATH, defaults: settings, settingsOf, settings: SMALL_BUFFERS }
    this.directory = await LogDirectory.open(options)
    return this.directory
  }

  async run(): Promise<void> {
    let directory = await this.open()
    this.plain.log = await directory.create('plain', 0)
    this.keyed.log = await directory.create('keyed', 0)
    for (let index = 0; index < 8; index++) await this.append(this.plain, 0)
    await this.flush(this.plain)
    for (let index = 0; index < 4; index++) await this.append(this.plain, 1, index)
    for (let index = 0; index < 9; index++) await this.append(this.keyed, 0, -1, `key ${index % 3}`)
    this.clock.advance(61_000)
    await this.trim(3)
    await this.compact()
    await this.truncate(8)
    await this.append(this.plain, 2)
    await directory.close()
    for (const one of [this.plain, this.keyed]) one.synced = one.values.length
    directory = await this.open()
    this.plain.log = directory.get('plain', 0)
    this.keyed.log = directory.get('keyed', 0)
    for (let index = 0; index < 4; index++) await this.append(this.plain, 2)
    await this.retain()
    await this.compact()
    this.keyed.isRemoved = true
    await directory.remove('keyed', 0)
    await directory.close({ clean: false })
  }

  async append(to: Promised, epoch: number, sequence = -1, key?: string): Promise<void> {
    const value = `${to === this.plain ? 'plain' : key} ${to.values.length} ${'x'.repeat(90)}`
    const producer = sequence < 0 ? {} : { producerId: 4, producerEpoch: 0, baseSequence: sequence }
    to.values.push(value)
    const { baseOffset } = await to.log!.appendBatch(batch({ value, ...producer, ...(key ? { key } : {}) }), epoch)
    expect(baseOffset).toBe(to.values.length - 1)
  }

  async flush(one: Promised): Promise<void> {
    await one.log!.flush()
    one.synced = one.values.length
  }

  async trim(offset: number): Promise<void> {
    this.plain.startMax = offset
    await this.plain.log!.trimBefore(offset)
    this.plain.startMin = offset
  }

  async truncate(offset: number): Promise<void> {
    this.plain.note()
    this.plain.cutTo = offset
    expect(await this.plain.log!.truncateTo(offset)).toBe(offset)
    this.plain.cutTo = Number.POSITIVE_INFINITY
    this.plain.values.length = offset
    this.plain.synced = Math.min(this.plain.synced, offset)
  }

  async retain(): Promise<void> {
    const { log } = this.plain
    log!.configure({ ...settings, retentionBytes: 700 })
    this.plain.startMax = log!.logEndOffset
    const { logStartOffset } = await log!.applyRetention()
    expect(logStartOffset).toBeGreaterThan(this.plain.startMin)
    this.plain.startMin = logStartOffset
  }

  async compact(): Promise<void> {
    await this.keyed.log!.compact()
  }
}

/** Without faults: how many steps the script has. */
async function stepsOf(seed: number): Promise<{ steps: number; life: Life }> {
  const life = new Life(seed)
  await life.run()
  return { steps: life.machine.steps, life }
}

async function check(life: Life): Promise<void> {
  const directory = await life.open()
  expect([...directory.damaged.values()]).toEqual([])
  checkPlain(life.plain, directory.get('plain', 0), await recordsOf(directory, 'plain'))
  checkKeyed(life.keyed, directory.get('keyed', 0), await recordsOf(directory, 'keyed'))
  for (const topic of ['plain', 'keyed']) {
    const log = await directory.create(topic, 0)
    const end = log.logEndOffset
    expect(await log.appendBatch(batch({ key: 'new' }), log.leaderEpoch)).toMatchObject({ baseOffset: end })
    await log.flush()
  }
  await directory.close()
  await (await life.open()).close()
}

async function recordsOf(directory: LogDirectory, topic: string): Promise<StoredRecord[]> {
  const log = directory.get(topic, 0)
  const records: StoredRecord[] = []
  if (log === undefined) return records
  for await (const { offset, value } of log.records()) {
    records.push({ offset, value: Buffer.from(value ?? []).toString() })
  }
  return records
}

function checkPlain(promised: Promised, log: Log | undefined, records: readonly StoredRecord[]): void {
  if (log === undefined) {
    expect(promised.log).toBeUndefined()
    return
  }
  const { logStartOffset, logEndOffset } = log
  expect(logEndOffset).toBeGreaterThanOrEqual(Math.min(promised.synced, promised.cutTo))
  expect(logEndOffset).toBeLessThanOrEqual(promised.values.length)
  expect(logStartOffset).toBeGreaterThanOrEqual(promised.startMin)
  expect(logStartOffset).toBeLessThanOrEqual(promised.startMax)
  const expected = promised.values.slice(logStartOffset, logEndOffset)
  expect(records.map(({ value }) => value)).toEqual(expected)
}

/**
 * Of a compacted log the newest synced value of each key is there, or a newer one, and nothing that was not appended. What
 * was not synced may be missing in between as long as no checkpoint knows the log: only then a hole at the end of a segment
 * cannot be told from compaction (recovery.test.ts).
 */
function checkKeyed(promised: Promised, log: Log | undefined, records: readonly StoredRecord[]): void {
  if (log === undefined || promised.isRemoved) return
  const keyOf = (value: string): string => value.slice(0, 5)
  expect(log.logEndOffset).toBeGreaterThanOrEqual(promised.synced)
  expect(log.logEndOffset).toBeLessThanOrEqual(promised.values.length)
  const found = new Map<string, number>()
  for (const { offset, value } of records) {
    expect(value).toBe(promised.values[offset])
    found.set(keyOf(value), offset)
  }
  const newest = new Map(promised.values.slice(0, promised.synced).map((value, offset) => [keyOf(value), offset]))
  for (const [key, offset] of newest) expect(found.get(key)).toBeGreaterThanOrEqual(offset)
}

/** With PAGELOG_CASES, for the long run, other lives as well: one for each thousand. */
const LIVES = Math.max(1, Math.floor(Number(process.env.PAGELOG_CASES ?? 0) / 1000))
/** The end of a process is the milder case: in the short run a quarter of its steps will do. */
const strides = { crash: 1, kill: LIVES > 1 ? 1 : 4 }

describe.each(['crash', 'kill'] as const)('a %s at any step', (how) => {
  it('loses nothing that was promised and keeps nothing from starting', { timeout: 400_000 * LIVES }, async () => {
    for (let seed = 1; seed <= LIVES; seed++) {
      const { steps } = await stepsOf(seed)
      expect(steps).toBeGreaterThan(200)
      for (let step = 1; step <= steps; step += strides[how]) await endAt(seed, step, how)
    }
  })
})

async function endAt(seed: number, step: number, how: 'crash' | 'kill'): Promise<void> {
  const life = new Life(seed)
  life.machine.stopAt(step)
  const failure = await life.run().then(
    () => undefined,
    (error: unknown) => error,
  )
  try {
    expect(life.machine.isOff).toBe(true)
    if (failure !== undefined && !(failure instanceof PagelogError)) throw failure
    for (const one of [life.plain, life.keyed]) one.note()
    life.machine[how]()
    await life.directory?.close({ clean: false }).catch(() => {})
    await check(life)
  } catch (error) {
    throw new Error(`seed ${seed}, step ${step}:\n${life.machine.log}`.slice(-3000), { cause: error })
  }
}

it('does the same again by the same seed', async () => {
  const [one, two] = await Promise.all([stepsOf(3), stepsOf(3)])
  expect(`${one.life.machine.log}`).toBe(`${two.life.machine.log}`)
})
