/**
 * Files of a broker are damaged while it is down: logs, and what lies beside them. Nothing that was acknowledged is lost, no
 * client sees an error, and what is known to be damaged leads nothing before it is mended.
 */
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { batchSize, lastOffset } from '../../../src/record/index.ts'
import { type BrokerProcess, type FaultCluster, SESSION_MS, startFor } from './fault-cluster.ts'
import { expectSound } from './outcome.ts'
import { pause, type Torture, underLoad } from './under-load.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)
const rounds = Number(process.env.PAGELOG_ROUNDS ?? 10)

function epochs(cluster: FaultCluster, ...ids: number[]): Map<number, number> {
  return new Map(ids.map((id) => [id, cluster.epochOf(id)]))
}

const SEGMENT = '00000000000000000000.log'
const MAGIC_AT = 16
const MARK = 'pagelog-damaged.json'

function flip(path: string, at: (bytes: Buffer) => number): void {
  const bytes = readFileSync(path)
  const position = at(bytes)
  bytes[position] = bytes[position]! ^ 0x40
  writeFileSync(path, bytes)
}

/** A byte in the middle of the log's newest segment, where records were acknowledged and perhaps not synced. */
function damageTail(directory: string, partition: string): void {
  flip(join(directory, partition, SEGMENT), (bytes) => bytes.length >> 1)
}

/** The header of the last batch that was synced before the log was closed, as the recovery point says. */
function damageSynced(directory: string, partition: string): void {
  const [topic, index] = partition.split('-')
  const checkpoint = readFileSync(join(directory, 'recovery-point-offset-checkpoint'), 'utf8')
  const line = checkpoint.split('\n').find((one) => one.startsWith(`${topic} ${index} `))
  const recoveryPoint = Number(line?.split(' ')[2])
  expect(recoveryPoint, checkpoint).toBeGreaterThan(0)
  flip(join(directory, partition, SEGMENT), (bytes) => {
    let found = -1
    for (let at = 0; at < bytes.length && lastOffset(bytes, at) < recoveryPoint; at += batchSize(bytes, at)) found = at
    expect(found).toBeGreaterThanOrEqual(0)
    return found + MAGIC_AT
  })
}

/** The two others die and come back, one after the other. */
async function killOthers(cluster: FaultCluster, { random }: Torture, id: number): Promise<void> {
  for (const other of [1, 2, 3].filter((one) => one !== id)) {
    const epoch = epochs(cluster, other)
    await cluster.broker(other).kill()
    await pause(random.below(1.5 * SESSION_MS))
    await cluster.broker(other).start()
    await cluster.until('it is back', () => cluster.epochOf(other) > epoch.get(other)!)
  }
}

const tailRounds = Math.max(3, Math.round(rounds / 4))

test.concurrent(`one replica's tail is damaged, and the two others are killed in turn, ${tailRounds} times: nothing is lost`, async (context) => {
  const cluster = await startFor(context)
  const outcome = await underLoad(cluster, { seed }, async (torture) => {
    const { topic, random, writable } = torture
    for (let count = 0; count < tailRounds; count++) {
      const id = 1 + random.below(3)
      const since = epochs(cluster, id)
      await cluster.broker(id).kill()
      damageTail(cluster.broker(id).directory, `${topic}-${random.below(3)}`)
      await cluster.broker(id).start()
      await killOthers(cluster, torture, id)
      await cluster.whole(since)
      await writable()
    }
  })
  expectSound(outcome, `${tailRounds} damaged tails`)
})

/** A byte of a record in the middle of what was synced: nothing but the records themselves tells. */
function damagePayload(directory: string, partition: string): void {
  flip(join(directory, partition, SEGMENT), (bytes) => {
    let at = 0
    while (at + batchSize(bytes, at) < bytes.length >> 1) at += batchSize(bytes, at)
    return at + batchSize(bytes, at) - 2
  })
}

/** How a replica that was closed in order, so that all it has is below its recovery point, is damaged. */
const REPLICA_DAMAGES = [
  { what: 'a header, and it was killed since', kill: true, damage: damageSynced },
  { what: 'a header', kill: false, damage: damageSynced },
  { what: 'a payload', kill: false, damage: damagePayload },
] as const

async function closeInOrder(cluster: FaultCluster, broker: BrokerProcess, kill: boolean): Promise<void> {
  await broker.stop()
  if (!kill) return
  const since = epochs(cluster, broker.id)
  await broker.start()
  await cluster.whole(since)
  await broker.kill()
}

/** The folder of a damaged log that was set aside last. */
function asideOf(broker: BrokerProcess, partition: string): string | undefined {
  const names = readdirSync(broker.directory).filter((name) => name.startsWith(`${partition}.`))
  return names.find((name) => name.endsWith('-damaged'))
}

const damagedRounds = REPLICA_DAMAGES.length * Math.max(2, Math.round(rounds / 5))

test.concurrent(`one replica is damaged below its recovery point, ${damagedRounds} times: it is copied anew, and the two others are killed in turn`, async (context) => {
  const cluster = await startFor(context)
  const outcome = await underLoad(cluster, { seed }, async (torture) => {
    const { topic, random, writable } = torture
    for (let count = 0; count < damagedRounds; count++) {
      const { what, kill, damage } = REPLICA_DAMAGES[count % REPLICA_DAMAGES.length]!
      const id = 1 + random.below(3)
      const index = random.below(3)
      const partition = `${topic}-${index}`
      const broker = cluster.broker(id)
      await closeInOrder(cluster, broker, kill)
      damage(broker.directory, partition)
      const before = asideOf(broker, partition)
      const isMended = (): boolean => asideOf(broker, partition) !== before
      await cluster.until('its session is over', () => cluster.epochOf(id) === 0)
      // What only the records tell is known when the scrubber comes to it; what opening a log tells is known at once.
      const isKnown = (): boolean => damage === damageSynced || existsSync(join(broker.directory, partition, MARK))
      let led = ''
      let knownIn: number | undefined
      const look = (): void => {
        const { leader, leaderEpoch } = cluster.partition(topic, index)
        if (isMended()) return
        if (isKnown()) knownIn ??= leaderEpoch
        if (leader === id && leaderEpoch > (knownIn ?? leaderEpoch)) led = `it was elected in epoch ${leaderEpoch}`
      }
      look()
      const unwatch = cluster.image.onChange(look)
      const since = epochs(cluster, id)
      await broker.start()
      await cluster.until(`it is copied anew (${what})`, isMended)
      unwatch()
      expect(led, `broker ${id}, ${partition}, ${what}`).toBe('')
      await cluster.whole(since)
      await killOthers(cluster, torture, id)
      await cluster.whole(since)
      await writable()
    }
  })
  expectSound(outcome, `${damagedRounds} logs damaged below the recovery point`)
})

/** Files beside the logs: of one partition, and of the directory. */
const SIDE_FILES = [
  'load-0/00000000000000000000.index',
  'load-0/00000000000000000000.timeindex',
  'load-0/leader-epoch-checkpoint',
  'recovery-point-offset-checkpoint',
  'replication-offset-checkpoint',
  'log-start-offset-checkpoint',
  'pagelog-incarnation.json',
]
const DAMAGES: readonly ((path: string) => void)[] = [
  (path) => {
    const bytes = readFileSync(path)
    if (bytes.length === 0) return
    bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 1
    writeFileSync(path, bytes)
  },
  (path) => truncateSync(path, 0),
  (path) => truncateSync(path, readFileSync(path).length >> 1),
  (path) => rmSync(path),
]

test.concurrent('a replica that says it is of another topic is left alone, and filled again when its folder is removed', async (context) => {
  const cluster = await startFor(context)
  const outcome = await underLoad(cluster, { seed }, async ({ topic, writable }) => {
    const { leader } = cluster.partition(topic, 0)
    const broker = cluster.broker(leader)
    const since = epochs(cluster, leader)
    await broker.kill()
    const folder = join(broker.directory, `${topic}-0`)
    const path = join(folder, 'partition.metadata')
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(/(topic_id: ..)./, (_, start) => `${start}_`),
    )
    await broker.start()
    await cluster.until('it is back without that replica', () => {
      const isBack = cluster.epochOf(leader) > since.get(leader)!
      return isBack && !cluster.partition(topic, 0).isr.includes(leader)
    })
    await writable()
    const again = epochs(cluster, leader)
    await broker.stop()
    rmSync(folder, { recursive: true })
    await broker.start()
    await cluster.whole(again)
    await writable()
  })
  expectSound(outcome, 'a replica of another topic')
})

/** Who does not know any more that it is the one that is registered has to wait for that one's session to end. */
async function startInTheEnd(cluster: FaultCluster, broker: BrokerProcess): Promise<void> {
  try {
    await broker.start()
  } catch (error) {
    expect(String(error)).toContain(`node.id=${broker.id} is in use`)
    await cluster.until('its session has ended', () => cluster.epochOf(broker.id) === 0)
    await broker.start()
  }
}

test.concurrent('every file beside the logs is flipped, emptied, halved or gone: it is built again, or the replica filled again', async (context) => {
  const cluster = await startFor(context, { settings: { 'replica.high.watermark.checkpoint.interval.ms': '300' } })
  const outcome = await underLoad(cluster, { seed }, async ({ random, writable }) => {
    for (const [at, file] of SIDE_FILES.entries()) {
      const id = 1 + random.below(3)
      const since = epochs(cluster, id)
      const broker = cluster.broker(id)
      if (at % 2 === 0) await broker.kill()
      else await broker.stop()
      try {
        DAMAGES[(at + seed) % DAMAGES.length]!(join(broker.directory, file))
      } catch (error) {
        // Not every file is always there.
        if ((error as { code?: string }).code !== 'ENOENT') throw error
      }
      await startInTheEnd(cluster, broker)
      await cluster.whole(since)
      await writable()
    }
  })
  expectSound(outcome, 'damaged side files')
})
