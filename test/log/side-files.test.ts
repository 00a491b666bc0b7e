/**
 * What lies beside the `.log` files may be damaged in any way: no record is lost for it and no open fails twice (goal D8
 * of reliability). Eleven kinds of files, each with a bit flipped (several of them, one by one), empty, cut in half, gone,
 * and as it was at an earlier time; after a clean shutdown and after a crash.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Disk } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { batch, defaults, env, readAll } from './support.ts'
import { marker, transactional } from './transaction-batches.ts'

const PATH = '/logs'
const PARTITION = 't-0'
const MARKER = '.kafka_cleanshutdown'
const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 200, fileDeleteDelayMs: 0 }

/** Files by their path below the directory, as they were. */
type Image = ReadonlyMap<string, Uint8Array>

const open = (disk: Disk): Promise<LogDirectory> =>
  LogDirectory.open({ env: { ...env, disk }, path: PATH, defaults: settings, nodeId: 0 })

async function imageOf(disk: Disk): Promise<Image> {
  const image = new Map<string, Uint8Array>()
  const names = (await disk.list(PATH)).filter((name) => name !== PARTITION && name !== '.lock')
  for (const name of await disk.list(`${PATH}/${PARTITION}`)) names.push(`${PARTITION}/${name}`)
  for (const name of names) image.set(name, (await disk.readFile(`${PATH}/${name}`))!)
  return image
}

/** A disk with these files. */
async function diskOf(image: Image): Promise<Disk> {
  const disk = memoryDisk()
  await disk.makeDirectory(`${PATH}/${PARTITION}`)
  for (const [name, content] of image) await disk.replaceFile(`${PATH}/${name}`, content.slice())
  return disk
}

async function fill(log: Log, rounds: number, from: number): Promise<void> {
  for (let round = from; round < from + rounds; round++) {
    const timestampMs = 1_700_000_000_000 + round
    const given = { producerId: 7, baseSequence: round * 3, count: 3, value: `value ${round}`, timestampMs }
    await log.appendBatch(transactional(given), log.leaderEpoch)
    await log.appendBatch(marker({ producerId: 7, commit: round % 2 === 0, timestampMs }), log.leaderEpoch)
    await log.appendBatch(batch({ value: `plain ${round}`, timestampMs }), round < 10 ? 0 : 2)
  }
}

const endOffset = 38 * 5
/** A directory closed twice: as it was the first time, and as it is. */
let earlier: Image
let image: Image

beforeAll(async () => {
  const disk = memoryDisk()
  const directory = await open(disk)
  await fill(await directory.create('t', 0), 18, 0)
  await directory.close()
  earlier = await imageOf(disk)
  const again = await open(disk)
  await fill(again.get('t', 0)!, 20, 18)
  await again.get('t', 0)!.trimBefore(17)
  await again.close()
  image = await imageOf(disk)
})

const kinds: Record<string, RegExp> = {
  index: /^t-0\/.*\.index$/,
  timeindex: /^t-0\/.*\.timeindex$/,
  txnindex: /^t-0\/.*\.txnindex$/,
  snapshot: /^t-0\/.*\.snapshot$/,
  'leader-epoch-checkpoint': /^t-0\/leader-epoch-checkpoint$/,
  'partition.metadata': /^t-0\/partition\.metadata$/,
  'recovery-point-offset-checkpoint': /^recovery-point/,
  'log-start-offset-checkpoint': /^log-start/,
  'cleaner-offset-checkpoint': /^cleaner-offset/,
  'meta.properties': /^meta\.properties$/,
  'clean-shutdown marker': /^\.kafka_cleanshutdown$/,
}

type Damage = (content: Uint8Array, earlier: Uint8Array | undefined) => (Uint8Array | undefined)[]

const FLIPS = 6

const damages: Record<string, Damage> = {
  'a flipped bit': (content) =>
    Array.from({ length: content.length === 0 ? 0 : FLIPS }, (_, index) => {
      const at = Math.floor((index * content.length) / FLIPS)
      return content.map((byte, position) => (position === at ? byte ^ (1 << ((index + 1) % 8)) : byte))
    }),
  'no content': () => [new Uint8Array(0)],
  'half of its content': (content) => [content.slice(0, content.length >> 1)],
  'nothing at all': () => [undefined],
  'what it was earlier': (_, earlier) => [earlier],
}

/** Opens it, twice: everything is there and goes on. */
async function expectWhole(disk: Disk): Promise<void> {
  const bases = [...image.keys()].filter((name) => name.endsWith('.log')).map((name) => Number(name.slice(4, 24)))
  for (let round = 0; round < 2; round++) {
    const directory = await open(disk)
    // A recovery point beyond the log cannot be told from a log that lost its end: that is refused, and repaired.
    if (directory.damaged.has(PARTITION)) {
      const report = await directory.repair('t', 0)
      expect([report.remaining, report.removed]).toEqual([[], []])
    }
    expect([...directory.damaged.keys()]).toEqual([])
    const log = directory.get('t', 0)!
    expect(log.logEndOffset).toBe(endOffset + round)
    // Where it starts may be forgotten, but never is more hidden than the first segment.
    expect(log.logStartOffset).toBeLessThanOrEqual(bases[1]!)
    const records = await readAll(log, log.logStartOffset, 4000)
    expect(records.length).toBe(endOffset + round - log.logStartOffset)
    await log.appendBatch(batch({ value: 'on' }), log.leaderEpoch)
    expect((await log.repair()).remaining).toEqual([])
    expect((await log.offsetForTime(1_700_000_000_037))?.offset).toBe(37 * 5)
    const aborted = await log.abortedTransactions(log.logStartOffset, endOffset)
    expect(aborted.map(({ lastOffset }) => lastOffset)).toEqual(markersFrom(log.logStartOffset))
    await directory.close()
  }
}

/** Offsets of the ABORT markers of `fill`. */
function markersFrom(offset: number): number[] {
  return Array.from({ length: 19 }, (_, index) => (2 * index + 1) * 5 + 3).filter((one) => one >= offset)
}

describe.each(Object.entries(kinds))('%s', (_, pattern) => {
  it.each(Object.entries(damages))('with %s costs no record', async (_title, damage) => {
    const name = [...image.keys()].filter((one) => pattern.test(one)).at(-1) ?? 'cleaner-offset-checkpoint'
    const content = image.get(name) ?? new TextEncoder().encode('0\n1\nt 0 40\n')
    for (const isClean of [true, false]) {
      for (const damaged of damage(content, earlier.get(name))) {
        const files = new Map(image)
        if (damaged === undefined) files.delete(name)
        else files.set(name, damaged)
        if (!isClean) files.delete(MARKER)
        await expectWhole(await diskOf(files))
      }
    }
  })
})
