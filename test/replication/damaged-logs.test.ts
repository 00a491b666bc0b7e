/**
 * A replica whose log is damaged where nobody cut it: found while it is served, or when it is opened. It is fetched anew
 * where others have what it had, and left as it is where it could be the last copy.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { ErrorCode, silentLogger } from '../../src/base/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { ClusterImage } from '../../src/metadata/index.ts'
import { batchOf, produce } from '../broker/fixtures.ts'
import { bytesOf, TestCluster, until } from './brokers.ts'

const ROOT = '/pagelog'
const TOPIC = 'events'
const LOG = `${ROOT}/${TOPIC}-0`
const SEGMENT = `${LOG}/00000000000000000000.log`
const MARK = `${LOG}/pagelog-damaged.json`
const ASIDE = /^events-0\.[0-9a-f]{32}-damaged$/
const MAGIC_AT = 16

let cluster: TestCluster
let topicId: string
let sent = 0

afterEach(() => cluster?.close())

/** Logs are read through every 20 ms, from a second after a start on. */
async function start(replicas: readonly number[], configs: Record<string, string> = {}): Promise<void> {
  sent = 0
  cluster = await TestCluster.start({ settings: { replicaFetchWaitMaxMs: 20, scrubIntervalMs: 20 } })
  topicId = await cluster.createTopic(TOPIC, [replicas], configs)
  await commit(leader(), 30)
  await inSync(replicas)
}

function leader(): number {
  return [1, 2, 3].find((id) => cluster.broker(id) && cluster.replica(id, TOPIC)?.isLeader)!
}

async function commit(id: number, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const batch = batchOf([`value-${sent}`.padEnd(200, '.')])
    // A leader that begins another epoch does not say whether it took what came just before.
    await until(async () => {
      const { errorCode } = await produce(await cluster.client(id), TOPIC, batch)
      expect([ErrorCode.NONE, ErrorCode.NOT_LEADER_OR_FOLLOWER]).toContain(errorCode)
      return errorCode === ErrorCode.NONE
    })
    sent++
  }
}

/** All of them are in sync, and have the same bytes, all that was acknowledged. */
async function inSync(replicas: readonly number[]): Promise<void> {
  await until(async () => {
    const { isr, leader: id } = await cluster.state(topicId)
    if (id < 0 || isr.length !== replicas.length) return false
    const end = cluster.replica(id, TOPIC)?.log.logEndOffset
    return replicas.every((one) => cluster.replica(one, TOPIC)?.highWatermark === end)
  }, 'replicas in sync')
  const bytes = await bytesOf(cluster.replica(leader(), TOPIC))
  expect(new Set(bytes.toString('latin1').match(/value-\d+/g)).size).toBe(sent)
  for (const id of replicas)
    expect((await bytesOf(cluster.replica(id, TOPIC))).equals(bytes), `broker ${id}`).toBe(true)
}

async function flip(id: number, at?: number): Promise<void> {
  const file = await cluster.disk(id).open(SEGMENT, 'write')
  const byte = new Uint8Array(1)
  const position = at ?? file.size >> 1
  await file.read(byte, position)
  byte[0]! ^= 0x20
  await file.write([byte], position)
  await file.close()
}

async function aside(id: number): Promise<string[]> {
  return (await cluster.disk(id).list(ROOT)).filter((name) => ASIDE.test(name))
}

/** From now on it must not lead: the function that is returned says so. */
async function watchFor(id: number): Promise<() => void> {
  let seen = ''
  const image = await ClusterImage.open(cluster.store, { clock: nodeEnv().clock, logger: silentLogger, relistMs: 0 })
  image.onChange(() => {
    const { leader: by, leaderEpoch } = image.partition(topicId, 0)!
    if (by === id) seen = `it led in epoch ${leaderEpoch}`
  })
  return () => {
    image.close()
    expect(seen).toBe('')
  }
}

describe('a payload changes on the disk', () => {
  test('of a follower: it leaves the ISR, is fetched anew, and is in sync again', async () => {
    await start([1, 2, 3])
    const { leaderEpoch } = await cluster.state(topicId)
    for (let round = 0; round < 2; round++) {
      await flip(3)
      const notLed = await watchFor(3)
      await until(async () => (await aside(3)).length === 1 && !(await cluster.disk(3).readFile(MARK)))
      await commit(leader(), 5)
      await until(async () => (await cluster.state(topicId)).leaderEpoch > leaderEpoch + round, 'another epoch')
      await inSync([1, 2, 3])
      notLed()
    }
    expect((await cluster.state(topicId)).leader).toBe(1)
    expect((await cluster.state(topicId)).suspects).toBeUndefined()
    // Of two copies the later one is kept, as it was found.
    expect(await aside(3)).toHaveLength(1)
    expect(await cluster.disk(3).list(`${ROOT}/${(await aside(3))[0]}`)).toContain('pagelog-damaged.json')
    expect(cluster.broker(3).metrics()).toMatchObject({ logsDamaged: 0, scrubLogsDamaged: 2 })
  })

  test('of the leader: another one leads, then it is fetched anew', async () => {
    await start([1, 2, 3])
    await flip(1)
    await until(async () => [2, 3].includes((await cluster.state(topicId)).leader), 'another leader')
    const notLed = await watchFor(1)
    await until(async () => (await aside(1)).length === 1)
    await commit(leader(), 5)
    await inSync([1, 2, 3])
    notLed()
  })

  test('of the last copy: it is told of, led and served on; fetched anew once another one is in sync', async () => {
    await start([1, 2])
    await cluster.stopBroker(2)
    await until(async () => (await cluster.state(topicId)).isr.length === 1)
    await flip(1)
    await until(() => cluster.broker(1).metrics().logsDamaged === 1)
    const before = await cluster.state(topicId)
    await commit(1, 5)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await cluster.state(topicId)).toEqual(before)
    expect(await aside(1)).toEqual([])
    await cluster.startBroker(2)
    await until(async () => (await cluster.state(topicId)).leader === 2, 'another leader')
    await until(async () => (await aside(1)).length === 1)
    await inSync([1, 2])
  })

  test('of an only replica: it is told of and served on', async () => {
    await start([1])
    await flip(1)
    await until(() => cluster.broker(1).metrics().logsDamaged === 1)
    await commit(1, 5)
    expect(await cluster.disk(1).readFile(MARK)).toBeUndefined()
    expect(await aside(1)).toEqual([])
  })
})

describe('a broker dies', () => {
  const broken = { 3: [-1, -1, 'an earlier life'] as const }

  async function diesDamaged(): Promise<void> {
    await start([1, 2, 3])
    await cluster.stopBroker(3)
    await flip(3)
    await cluster.disk(3).replaceFile(MARK, new TextEncoder().encode('{}'))
  }

  test('that has marked its log, and not yet left the ISR: it leaves before anybody can elect it', async () => {
    await diesDamaged()
    const notLed = await watchFor(3)
    await cluster.change(topicId, ({ isr }) => ({ isr: [...new Set([...isr, 3])] }))
    await cluster.startBroker(3)
    await until(async () => (await aside(3)).length === 1)
    await commit(leader(), 5)
    await inSync([1, 2, 3])
    notLed()
  })

  test('between leaving the ISR and setting its log aside: that is done when it is back', async () => {
    await diesDamaged()
    const notLed = await watchFor(3)
    await cluster.change(topicId, ({ isr }) => ({ isr: isr.filter((id) => id !== 3), suspects: broken }))
    await cluster.startBroker(3)
    await until(async () => (await aside(3)).length === 1)
    await commit(leader(), 5)
    await inSync([1, 2, 3])
    notLed()
  })

  test('between setting its log aside and following: it begins empty', async () => {
    await diesDamaged()
    await cluster.change(topicId, ({ isr }) => ({ isr: isr.filter((id) => id !== 3), suspects: broken }))
    await cluster.disk(3).rename(LOG, `${LOG}.${'0'.repeat(32)}-damaged`)
    const notLed = await watchFor(3)
    await cluster.startBroker(3)
    await inSync([1, 2, 3])
    notLed()
    expect(await aside(3)).toEqual([`events-0.${'0'.repeat(32)}-damaged`])
  })

  test('as the last one in sync, with a mark: it leads again', async () => {
    await start([1, 2])
    await cluster.stopBroker(2)
    await until(async () => (await cluster.state(topicId)).isr.length === 1)
    await cluster.stopBroker(1)
    await flip(1)
    await cluster.disk(1).replaceFile(MARK, new TextEncoder().encode('{}'))
    await cluster.startBroker(1)
    await until(() => cluster.replica(1, TOPIC)?.isLeader === true)
    await commit(1, 5)
    expect(await aside(1)).toEqual([])
    await cluster.startBroker(2)
    await until(async () => (await aside(1)).length === 1)
    await inSync([1, 2])
  })
})

describe('a log that cannot be opened', () => {
  /** The header of its first batch, as after a crash, when that is looked at. */
  async function harm(id: number): Promise<void> {
    await flip(id, MAGIC_AT)
    await cluster.disk(id).unlink(`${ROOT}/.kafka_cleanshutdown`)
    for (const side of ['index', 'timeindex']) {
      const file = await cluster.disk(id).open(SEGMENT.replace('.log', `.${side}`), 'write')
      await file.truncate(0)
      await file.close()
    }
  }

  test('is fetched anew when another one leads', async () => {
    await start([1, 2, 3])
    await cluster.stopBroker(3)
    await harm(3)
    const notLed = await watchFor(3)
    await cluster.startBroker(3)
    await until(async () => (await aside(3)).length === 1)
    await commit(leader(), 5)
    await inSync([1, 2, 3])
    notLed()
  })

  test('is left as it is while nobody else leads', async () => {
    await start([1, 2])
    await cluster.stopBroker(2)
    await until(async () => (await cluster.state(topicId)).isr.length === 1)
    await cluster.stopBroker(1)
    await harm(1)
    await cluster.startBroker(1)
    await until(async () => (await cluster.state(topicId)).leader === -1)
    await cluster.startBroker(2)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await aside(1)).toEqual([])
    expect(await cluster.state(topicId)).toMatchObject({ leader: -1, isr: [] })
    expect(cluster.broker(1).metrics().logsDamaged).toBe(1)
  })
})
