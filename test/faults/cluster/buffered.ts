/** Produce requests that a leader has not answered when another one is elected: not read yet, or waiting for followers. */
import { ErrorCode } from '../../../src/base/index.ts'
import { Produce } from '../../../src/protocol/index.ts'
import { BatchWriter } from '../../../src/record/index.ts'
import { RawClient } from '../../broker/raw-client.ts'
import type { FaultCluster } from './fault-cluster.ts'
import type { Torture } from './under-load.ts'

export const BUFFERED = 100
let buffered = 0

/**
 * Requests that lie in the socket of a broker that stands still: it finds them all when it goes on, perhaps before it
 * hears that it was replaced. Resolves when they are sent; the promise inside, when all are answered or the connection
 * is closed.
 */
export async function sendBuffered(
  { history, topic }: Torture,
  address: string,
): Promise<{ answered: Promise<unknown> }> {
  const client = await RawClient.connect(address)
  const answers = Array.from({ length: BUFFERED }, async () => {
    const value = `buffered.${buffered++}`
    const send = history.send('buffered', `${topic}-0`, value)
    const partitionData = [{ index: 0, records: batchOf(value) }]
    const request = { transactionalId: null, acks: -1, timeoutMs: 30_000, topicData: [{ name: topic, partitionData }] }
    const answer = await client.ask(Produce, 9, request).catch(() => undefined)
    const result = answer?.responses[0]?.partitionResponses[0]
    if (result?.errorCode === ErrorCode.NONE) history.acked(send, Number(result.baseOffset))
  })
  return { answered: Promise.all(answers).then(() => client.close()) }
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
