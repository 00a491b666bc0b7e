/** kafkajs by its documented interface: arrays sent, batches read by `eachBatch` as the only member of a group. */
import type { ConsumerSpec, ProducerSpec } from '../protocol.ts'
import { ArrayProducer } from './array-producer.ts'
import { loadPackage, type OnLatency, type Peer, type PeerConsumer, type Reading } from './peer.ts'

interface Sent {
  readonly topic: string
  readonly acks: number
  readonly messages: readonly { readonly value: Buffer }[]
}
interface Batch {
  readonly batch: { readonly messages: readonly { readonly value: Buffer | null }[] }
}
interface Running {
  readonly autoCommit: boolean
  readonly partitionsConsumedConcurrently: number
  readonly eachBatch: (batch: Batch) => Promise<void>
}
interface KafkaJs {
  readonly Kafka: new (options: {
    clientId: string
    brokers: string[]
    logLevel: number
  }) => {
    producer(options: { allowAutoTopicCreation: boolean; maxInFlightRequests: number }): {
      connect(): Promise<void>
      send(sent: Sent): Promise<unknown>
      disconnect(): Promise<void>
    }
    consumer(options: { groupId: string }): {
      readonly events: Readonly<Record<'CRASH', string>>
      on(event: string, listener: (event: { payload: { error: Error } }) => void): void
      connect(): Promise<void>
      subscribe(options: { topics: string[]; fromBeginning: boolean }): Promise<void>
      run(options: Running): Promise<void>
      disconnect(): Promise<void>
    }
  }
}

/** Its logger's `ERROR`. */
const ERRORS_ONLY = 1

export async function kafkajs(directory: string): Promise<Peer> {
  const { Kafka } = (await loadPackage(directory, 'kafkajs')) as KafkaJs
  const kafkaFor = (bootstrap: string) =>
    new Kafka({ clientId: 'bench', brokers: bootstrap.split(','), logLevel: ERRORS_ONLY })

  const produce = async (spec: ProducerSpec, onLatency: OnLatency) => {
    const { topic, acks } = spec
    const producer = kafkaFor(spec.bootstrap).producer({ allowAutoTopicCreation: false, maxInFlightRequests: 5 })
    await producer.connect()
    const client = {
      send: (values: readonly Buffer[]) => producer.send({ topic, acks, messages: values.map((value) => ({ value })) }),
      close: () => producer.disconnect(),
    }
    return new ArrayProducer(client, spec, onLatency)
  }

  const consume = async (spec: ConsumerSpec, { onValue, onError }: Reading): Promise<PeerConsumer> => {
    const consumer = kafkaFor(spec.bootstrap).consumer({ groupId: `bench-${process.pid}` })
    consumer.on(consumer.events.CRASH, ({ payload }) => onError(payload.error))
    await consumer.connect()
    await consumer.subscribe({ topics: [spec.topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: spec.partitions,
      eachBatch: async ({ batch }) => {
        for (const { value } of batch.messages) if (value !== null) onValue(value)
      },
    })
    return { close: () => consumer.disconnect() }
  }
  return { produce, consume }
}
