/** @platformatic/kafka by its documented interface: arrays sent, a stream read as the only member of a group. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConsumerSpec, ProducerSpec } from '../protocol.ts'
import { ArrayProducer } from './array-producer.ts'
import { loadPackage, type OnLatency, type Peer, type PeerConsumer, type Reading } from './peer.ts'

interface Options {
  readonly clientId: string
  readonly bootstrapBrokers: readonly string[]
}
interface Sent {
  readonly messages: readonly { readonly topic: string; readonly value: Buffer }[]
  readonly acks: number
  readonly idempotent: boolean
}
interface Stream {
  on(event: 'error', listener: (error: Error) => void): void
  on(event: 'data', listener: (message: { value: Buffer }) => void): void
}
interface Consuming {
  readonly topics: readonly string[]
  readonly mode: 'earliest'
  readonly autocommit: boolean
  readonly maxWaitTime: number
  readonly maxBytesPerPartition: number
  readonly highWaterMark: number
}
interface PlatformaticKafka {
  readonly Producer: new (options: Options) => { send(sent: Sent): Promise<unknown>; close(): Promise<void> }
  readonly Consumer: new (
    options: Options & { groupId: string },
  ) => {
    consume(options: Consuming): Promise<Stream>
    close(force: boolean): Promise<void>
  }
}

/** A broker that has just started makes the topic of its groups first, and refuses to coordinate until it has. */
const JOINS_MAX = 30
const JOIN_AGAIN_MS = 1000
/** Kafka's `max.partition.fetch.bytes`: without it an answer is 50 MiB, half a million small records made objects at once. */
const PARTITION_BYTES_MAX = 1024 * 1024
/** So that its own buffer never is what it waits for. */
const RECORDS_AHEAD = 65_536

export async function platformatic(directory: string): Promise<Peer> {
  const { Producer, Consumer } = (await loadPackage(directory, '@platformatic/kafka')) as PlatformaticKafka
  const optionsFor = (bootstrap: string) => ({ clientId: 'bench', bootstrapBrokers: bootstrap.split(',') })

  const produce = async (spec: ProducerSpec, onLatency: OnLatency) => {
    const { topic, acks } = spec
    const producer = new Producer(optionsFor(spec.bootstrap))
    const client = {
      send: (values: readonly Buffer[]) =>
        producer.send({ messages: values.map((value) => ({ topic, value })), acks, idempotent: false }),
      close: () => producer.close(),
    }
    return new ArrayProducer(client, spec, onLatency)
  }

  const consume = async (spec: ConsumerSpec, { onValue, onError }: Reading): Promise<PeerConsumer> => {
    const asked = {
      ...({ topics: [spec.topic], mode: 'earliest', autocommit: false, maxWaitTime: 500 } as const),
      ...{ maxBytesPerPartition: PARTITION_BYTES_MAX, highWaterMark: RECORDS_AHEAD },
    }
    for (let joins = 1; ; joins++) {
      const consumer = new Consumer({ ...optionsFor(spec.bootstrap), groupId: `bench-${process.pid}-${joins}` })
      try {
        const stream = await consumer.consume(asked)
        stream.on('error', onError)
        stream.on('data', ({ value }) => onValue(value))
        return { close: () => consumer.close(true) }
      } catch (error) {
        if (joins === JOINS_MAX) throw error
        await consumer.close(true).catch(() => {})
        await sleep(JOIN_AGAIN_MS)
      }
    }
  }
  return { produce, consume }
}
