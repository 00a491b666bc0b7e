/**
 * Requests that a leader has not answered when another one is elected: not read yet, or waiting for followers. Produce
 * requests, and questions where a partition ends.
 */
import { ErrorCode } from '../../../src/base/index.ts'
import { ListOffsets, Produce } from '../../../src/protocol/index.ts'
import { BatchWriter } from '../../../src/record/index.ts'
import { RawClient } from '../../broker/raw-client.ts'
import type { History } from '../../simulation/history.ts'
import type { FaultCluster } from './fault-cluster.ts'
import type { Torture } from './under-load.ts'

export const BUFFERED = 100
/** A question after so many produce requests. */
const ASK_EVERY = 10
const LATEST = -1
let buffered = 0

/** What became of the requests when the broker went on. */
export interface Answers {
  /** Where the partition ends, as the broker told. */
  readonly ends: readonly number[]
  /** Error codes of refusals to tell that. */
  readonly refusals: readonly number[]
}

/**
 * Requests that lie in the socket of a broker that stands still: it finds them all when it goes on, perhaps before it
 * hears that it was replaced. Resolves when they are sent; the promise inside, when all are answered or the connection
 * is closed.
 */
export async function sendBuffered(
  { history, topic }: Torture,
  address: string,
): Promise<{ answered: Promise<Answers> }> {
  const client = await RawClient.connect(address)
  const told = { ends: [] as number[], refusals: [] as number[] }
  const answers: Promise<void>[] = []
  for (let count = 0; count < BUFFERED; count++) {
    answers.push(produceOne(client, history, topic))
    if (count % ASK_EVERY === 0) answers.push(askEnd(client, topic, told))
  }
  return { answered: Promise.all(answers).then(() => client.close().then(() => told)) }
}

async function produceOne(client: RawClient, history: History, topic: string): Promise<void> {
  const value = `buffered.${buffered++}`
  const send = history.send('buffered', `${topic}-0`, value)
  const partitionData = [{ index: 0, records: batchOf(value) }]
  const request = { transactionalId: null, acks: -1, timeoutMs: 30_000, topicData: [{ name: topic, partitionData }] }
  const answer = await client.ask(Produce, 9, request).catch(() => undefined)
  const result = answer?.responses[0]?.partitionResponses[0]
  if (result?.errorCode === ErrorCode.NONE) history.acked(send, Number(result.baseOffset))
}

async function askEnd(client: RawClient, topic: string, told: { ends: number[]; refusals: number[] }): Promise<void> {
  const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: LATEST }]
  const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions }] }
  const answer = await client.ask(ListOffsets, 6, request).catch(() => undefined)
  const result = answer?.topics[0]?.partitions[0]
  if (result?.errorCode === ErrorCode.NONE) told.ends.push(Number(result.offset))
  else if (result !== undefined) told.refusals.push(result.errorCode)
}

function batchOf(value: string): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(256))
  writer.append(Date.now(), null, Buffer.from(value))
  return Uint8Array.from(writer.finish({ producerId: -1, producerEpoch: -1, baseSequence: -1 }))
}

/**
 * A leader that nobody but clients reaches: it appends what they send, waits for its followers, and hears in the end
 * that it was replaced. Healed when it resolves.
 */
export async function isolateLeader(cluster: FaultCluster, torture: Torture): Promise<void> {
  const { topic, writable } = torture
  const id = cluster.partition(topic, 0).leader
  const epoch = cluster.epochOf(id)
  const name = `b${id}`
  for (const other of ['e', 'b1', 'b2', 'b3'].filter((one) => one !== name)) {
    cluster.hosts.cut(name, other)
    cluster.hosts.cut(other, name)
  }
  const { answered } = await sendBuffered(torture, cluster.broker(id).address)
  await cluster.until('another one leads', () => ![id, -1].includes(cluster.partition(topic, 0).leader))
  await writable()
  cluster.hosts.heal()
  await answered
  await cluster.whole(new Map([[id, epoch]]))
}
