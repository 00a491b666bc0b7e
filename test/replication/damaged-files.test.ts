/**
 * Every kind of side file, damaged in every way, on one of three replicas while its broker is away: killed, or closed in
 * order. When it is back the file is built anew, or the replica is copied anew, or the broker refuses to start with one line
 * that names the file. Whatever it does, nothing that was acknowledged is missing anywhere, and it starts the next time too.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Disk } from '../../src/env/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { marker, transactional } from '../log/transaction-batches.ts'
import { bytesOf, TestCluster, until } from './brokers.ts'

const VICTIM = 3
const ALL = [1, 2, 3]
const ROOT = '/pagelog'
const TOPIC = 'events'
const LOG = `${ROOT}/${TOPIC}-0`
const STRAY = /^events-0\.[0-9a-f]{32}-stray$/
const DAY_MS = 86_400_000

/** Names of a kind: in the folder of the partition, or in that of the broker. */
interface Kind {
  readonly name: string
  readonly directory: string
  readonly files: RegExp
  /** Refused at start, by a line with these words, when it is damaged so. */
  readonly refused?: Partial<Record<Damage, RegExp>>
  /** Looks like a segment without aborted transactions, which has no such file, as Kafka's: only verifying finds it. */
  readonly unseen?: readonly Damage[]
}

type Damage = 'a flipped bit' | 'zero length' | 'a truncated half' | 'missing' | 'a stale copy'
const DAMAGES: readonly Damage[] = ['a flipped bit', 'zero length', 'a truncated half', 'missing', 'a stale copy']

const OTHER_CLUSTER = /^log directory belongs to cluster.id=/
const NOT_READABLE = /pagelog-incarnation.json is damaged; remove it/

const kinds: readonly Kind[] = [
  { name: 'index', directory: LOG, files: /\.index$/ },
  { name: 'timeindex', directory: LOG, files: /\.timeindex$/ },
  { name: 'txnindex', directory: LOG, files: /\.txnindex$/, unseen: ['zero length', 'missing'] },
  { name: 'producer snapshot', directory: LOG, files: /\.snapshot$/ },
  { name: 'leader-epoch-checkpoint', directory: LOG, files: /^leader-epoch-checkpoint$/ },
  { name: 'partition.metadata', directory: LOG, files: /^partition\.metadata$/ },
  { name: 'replication-offset-checkpoint', directory: ROOT, files: /^replication-offset-checkpoint$/ },
  { name: 'recovery-point-offset-checkpoint', directory: ROOT, files: /^recovery-point-offset-checkpoint$/ },
  {
    name: 'meta.properties',
    directory: ROOT,
    files: /^meta\.properties$/,
    refused: { 'a flipped bit': OTHER_CLUSTER, 'a stale copy': OTHER_CLUSTER },
  },
  {
    name: 'pagelog-incarnation.json',
    directory: ROOT,
    files: /^pagelog-incarnation\.json$/,
    refused: { 'a flipped bit': NOT_READABLE, 'zero length': NOT_READABLE, 'a truncated half': NOT_READABLE },
  },
]

let cluster: TestCluster
let topicId: string
let firstEpoch: number
/** What the victim's side files were long ago. */
let stale: Map<string, Uint8Array>
/** What was acknowledged, by offset. */
const acknowledged = new Map<number, string>()
let sequence = 0
let timestamp = 1_700_000_000_000

beforeAll(async () => {
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 20 } })
  const configs = { 'min.insync.replicas': '2', 'segment.ms': String(DAY_MS), 'index.interval.bytes': '0' }
  topicId = await cluster.createTopic(TOPIC, [[1, 2, VICTIM]], configs)
  await writeSegment()
  firstEpoch = cluster.replica(1, TOPIC).leaderEpoch
  await cluster.elect(topicId, 2)
  await cluster.inRoles(TOPIC, ALL)
  await writeSegment()
  await inSync()
  await cluster.stopBroker(VICTIM)
  stale = await contentsOf(cluster.disk(VICTIM))
  // As of a topic that had the name before, and of a cluster that the folder was in before.
  stale.set(`${LOG}/partition.metadata`, utf8('version: 0\ntopic_id: MTIzNDU2Nzg5MDEyMzQ1Ng'))
  stale.set(`${ROOT}/meta.properties`, utf8('version=1\ncluster.id=MTIzNDU2Nzg5MDEyMzQ1Ng\nnode.id=3\n'))
  await cluster.startBroker(VICTIM)
  await inSync()
  for (let segment = 0; segment < 2; segment++) await writeSegment()
}, 60_000)
afterAll(() => cluster?.close())

function leaderId(): number {
  return [1, 2].find((id) => cluster.replica(id, TOPIC).isLeader)!
}

async function send(leader: number, baseSequence: number): Promise<number> {
  const batch = batchOf([`value-${baseSequence}`], { timestamp, producerId: 7, producerEpoch: 0, baseSequence })
  const { errorCode, baseOffset } = await produce(await cluster.client(leader), TOPIC, batch)
  expect(errorCode).toBe(0)
  return baseOffset
}

async function commit(): Promise<void> {
  acknowledged.set(await send(leaderId(), sequence), `value-${sequence}`)
  sequence++
}

/** The victim leads for once: what was sent already is known there, and what comes next is taken. */
async function leadsOnce(): Promise<void> {
  await cluster.elect(topicId, VICTIM)
  await cluster.inRoles(TOPIC, ALL)
  const offset = await send(VICTIM, sequence - 1)
  expect(acknowledged.get(offset)).toBe(`value-${sequence - 1}`)
  acknowledged.set(await send(VICTIM, sequence), `value-${sequence}`)
  sequence++
  await cluster.elect(topicId, 2)
  await cluster.inRoles(TOPIC, ALL)
}

/** A segment of its own with records of an idempotent producer and of a transaction that was aborted. */
async function writeSegment(): Promise<void> {
  timestamp += 2 * DAY_MS
  await commit()
  await commit()
  const leader = leaderId()
  const { log, leaderEpoch } = cluster.replica(leader, TOPIC)
  const producerId = 1000 + sequence
  await log.appendBatch(transactional({ producerId, timestampMs: timestamp }), leaderEpoch)
  await log.appendBatch(marker({ producerId, commit: false, timestampMs: timestamp }), leaderEpoch)
}

/** All replicas are in sync and equal, have all that was acknowledged, and know the producer. */
async function inSync(hasIndexes = true): Promise<void> {
  await until(async () => {
    const replicas = ALL.map((id) => cluster.replica(id, TOPIC))
    const leader = replicas.find((replica) => replica?.isLeader)
    const { isr } = await cluster.state(topicId)
    const end = leader?.log.logEndOffset
    return isr.length === ALL.length && replicas.every((one) => one?.highWatermark === end)
  }, 'replicas in sync')
  const bytes = await bytesOf(cluster.replica(1, TOPIC))
  for (const id of ALL) expect((await bytesOf(cluster.replica(id, TOPIC))).equals(bytes), `broker ${id}`).toBe(true)
  const { log } = cluster.replica(VICTIM, TOPIC)
  const end = log.logEndOffset
  const others = cluster.replica(1, TOPIC).log
  if (hasIndexes) expect(await log.abortedTransactions(0, end)).toEqual(await others.abortedTransactions(0, end))
  expect(log.endOffsetFor(firstEpoch)).toEqual(others.endOffsetFor(firstEpoch))
  const values: string[] = []
  for await (const batch of log.read({ from: 0, to: log.highWatermark })) {
    for (const record of batch) values[record.offset] = Buffer.from(record.value!).toString()
  }
  for (const [offset, value] of acknowledged) expect(values[offset]).toBe(value)
}

async function* filesOf(disk: Disk): AsyncIterable<[string, Uint8Array]> {
  for (const directory of [ROOT, LOG]) {
    for (const name of await disk.list(directory)) {
      const path = `${directory}/${name}`
      if ((await disk.status(path))?.isDirectory === false) yield [path, (await disk.readFile(path))!.slice()]
    }
  }
}

async function contentsOf(disk: Disk): Promise<Map<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>()
  for await (const [path, content] of filesOf(disk)) contents.set(path, content)
  return contents
}

/** A process that was killed leaves all that it wrote, and neither says that it closed nor writes what a close does. */
async function stopVictim(how: 'killed' | 'closed'): Promise<void> {
  const disk = cluster.disk(VICTIM)
  const before = how === 'killed' ? await contentsOf(disk) : undefined
  await cluster.stopBroker(VICTIM)
  if (before !== undefined) {
    for (const path of (await contentsOf(disk)).keys()) if (!before.has(path)) await disk.unlink(path)
    for (const [path, content] of before) await overwrite(path, content)
  }
  await until(async () => !(await cluster.state(topicId)).isr.includes(VICTIM), 'ISR without the victim')
}

async function overwrite(path: string, content: Uint8Array): Promise<void> {
  const file = await cluster.disk(VICTIM).open(path, 'write')
  await file.truncate(0)
  if (content.length > 0) await file.write([content], 0)
  await file.close()
}

/** Every file of that kind; how many there were. */
async function harm({ directory, files }: Kind, damage: Damage): Promise<number> {
  const disk = cluster.disk(VICTIM)
  const isMeant = (path: string): boolean => path.startsWith(directory) && files.test(path.slice(directory.length + 1))
  if (damage === 'a stale copy') for (const [path, content] of stale) if (isMeant(path)) await overwrite(path, content)
  const names = (await disk.list(directory)).filter((name) => files.test(name))
  for (const name of names) {
    const path = `${directory}/${name}`
    const content = (await disk.readFile(path))!.slice()
    if (damage === 'missing') await disk.unlink(path)
    else if (damage !== 'a stale copy') await overwrite(path, harmed(content, damage, path))
  }
  return names.length
}

function harmed(content: Uint8Array, damage: Damage, path: string): Uint8Array {
  if (damage === 'zero length') return new Uint8Array(0)
  if (damage === 'a truncated half') return content.subarray(0, content.length >> 1)
  if (content.length > 0) content[flippedAt(content, path)]! ^= 1
  return content
}

/** Where it hurts: in the identity of a folder or a topic, in the offset of a checkpoint, in the middle of what is binary. */
function flippedAt(content: Uint8Array, path: string): number {
  const text = Buffer.from(content).toString('latin1')
  if (path.endsWith('.json')) return 0
  // The first offset of an entry. It has no checksum, as Kafka's: a bit that leaves it likely is found by verifying only.
  if (path.endsWith('.txnindex')) return Math.min(10, content.length - 1)
  if (path.endsWith('-offset-checkpoint')) return text.trimEnd().length - 1
  const value = /(?:cluster\.id=|topic_id: )([\w-]{20})/d.exec(text)
  if (value === null) return content.length >> 1
  // The identity of another: a letter that becomes none would be found damaged.
  return [...value[1]!].findIndex((letter) => /[\w-]/.test(flipped(letter))) + value.indices![1]![0]
}

function flipped(letter: string): string {
  return String.fromCharCode(letter.charCodeAt(0) ^ 1)
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Starts the broker; one that refuses to says why in one line, and starts when what it asks for is done. */
async function startVictim(kind: Kind, damage: Damage, original: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const words = kind.refused?.[damage]
  if (words === undefined) {
    await cluster.startBroker(VICTIM)
    return
  }
  const refusal = await cluster.startBroker(VICTIM).then(
    () => 'it started',
    (error: Error) => error.message,
  )
  expect(refusal).toMatch(words)
  expect(refusal).not.toContain('\n')
  for (const [path, content] of original) {
    if (!kind.files.test(path.slice(kind.directory.length + 1))) continue
    if (kind.name === 'meta.properties') await overwrite(path, content)
    else await cluster.disk(VICTIM).unlink(path)
  }
  await cluster.startBroker(VICTIM)
}

async function putBack({ files, directory }: Kind, original: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await stopVictim('closed')
  for (const [path, content] of original) {
    if (files.test(path.slice(directory.length + 1))) await overwrite(path, content)
  }
  await cluster.startBroker(VICTIM)
  await inSync()
}

describe.each(['killed', 'closed'] as const)('a broker that was %s', (how) => {
  test.each(kinds)(
    'and finds its $name damaged',
    async (kind) => {
      await writeSegment()
      for (const damage of DAMAGES) {
        await stopVictim(how)
        const original = await contentsOf(cluster.disk(VICTIM))
        const count = await harm(kind, damage)
        expect(count, `${kind.name}, ${damage}`).toBeGreaterThan(0)
        await commit()
        await startVictim(kind, damage, original)
        const isSeen = kind.unseen?.includes(damage) !== true
        try {
          await inSync(isSeen)
        } catch (error) {
          throw new Error(`${kind.name}, ${damage}`, { cause: error })
        }
        await leadsOnce()
        if (!isSeen) await putBack(kind, original)
        const isOther = kind.name === 'partition.metadata' && (damage === 'a flipped bit' || damage === 'a stale copy')
        const strays = (await cluster.disk(VICTIM).list(ROOT)).filter((name) => STRAY.test(name))
        expect(strays).toHaveLength(isOther ? 1 : 0)
        for (const name of strays) await cluster.disk(VICTIM).removeDirectory(`${ROOT}/${name}`)
        expect(Buffer.from((await cluster.disk(VICTIM).readFile(`${LOG}/partition.metadata`))!).toString()).toContain(
          topicId,
        )
      }
    },
    60_000,
  )
})
