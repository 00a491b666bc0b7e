/** node-rdkafka by its documented interface: one `produce` per record with delivery reports, `consume` by number of an assignment. */

import { queueBounds } from '../../peers/librdkafka.ts'
import { withResolvers } from '../../process/resolvers.ts'
import { consumerProperties, producerProperties } from '../librdkafka.ts'
import type { ConsumerSpec, ProducerSpec } from '../protocol.ts'
import { loadPackage, type OnLatency, type Peer, type PeerConsumer, type PeerProducer, type Reading } from './peer.ts'

type Settings = Readonly<Record<string, string | number | boolean>>
type Done = (error: Error | null) => void

interface Common {
  connect(options: object, done: Done): void
  disconnect(done: Done): void
  on(event: 'event.error', listener: (error: Error) => void): void
}
interface RdProducer extends Common {
  produce(topic: string, partition: null, value: Buffer, key: null, timestamp: null, opaque: number): unknown
  setPollInterval(milliseconds: number): void
  flush(milliseconds: number, done: Done): void
  on(event: 'event.error', listener: (error: Error) => void): void
  on(event: 'delivery-report', listener: (error: Error | null, report: { opaque: number }) => void): void
}
interface RdConsumer extends Common {
  assign(partitions: readonly { topic: string; partition: number; offset: number }[]): void
  consume(count: number, done: (error: Error | null, messages: readonly { value: Buffer | null }[]) => void): void
  setDefaultConsumeTimeout(milliseconds: number): void
}
interface NodeRdkafka {
  readonly Producer: new (settings: Settings, topic: Settings) => RdProducer
  readonly KafkaConsumer: new (settings: Settings, topic: Settings) => RdConsumer
}

/** In one go, before events have their turn. */
const SENT_MAX = 4096
const FLUSH_MS_MAX = 60_000
const POLL_MS = 5
/** Records a call of `consume` takes at most, and how long it waits for them. */
const TAKEN_MAX = 10_000
const WAIT_MS = 20
/** Of one record in so many the time is taken. */
const LATENCY_EVERY = 1009
const OFFSET_BEGINNING = -2

const called = (work: (done: Done) => void): Promise<void> =>
  new Promise((resolve, reject) => work((error) => (error ? reject(error) : resolve())))

class RdkafkaProducer implements PeerProducer {
  delivered = 0
  failed = 0
  lastError: string | null = null
  readonly #producer: RdProducer
  readonly #topic: string
  readonly #queuedMax: number
  #sent = 0
  #freed = withResolvers<void>()

  constructor(producer: RdProducer, spec: ProducerSpec, onLatency: OnLatency) {
    this.#producer = producer
    this.#topic = spec.topic
    const queuedMax = queueBounds['queue.buffering.max.messages']
    this.#queuedMax = Math.min(queuedMax, Math.ceil(spec.bufferBytes / spec.payload.valueBytes))
    producer.on('delivery-report', (error, { opaque }) => {
      if (error) {
        this.failed++
        this.lastError = error.message
      } else this.delivered++
      if (opaque > 0) onLatency(performance.now() - opaque)
      // A quarter free, so that there is something to do when it goes on.
      if (this.#queued > this.#queuedMax * 0.75) return
      const freed = this.#freed
      this.#freed = withResolvers<void>()
      freed.resolve()
    })
    producer.setPollInterval(POLL_MS)
  }

  get #queued(): number {
    return this.#sent - this.delivered - this.failed
  }

  get room(): number {
    return Math.max(0, Math.min(SENT_MAX, this.#queuedMax - this.#queued))
  }

  ready(): Promise<void> {
    return this.#freed.promise
  }

  send(values: readonly Buffer[]): void {
    for (const value of values) {
      const opaque = this.#sent++ % LATENCY_EVERY === 0 ? performance.now() : 0
      this.#producer.produce(this.#topic, null, value, null, null, opaque)
    }
  }

  async flush(): Promise<void> {
    await called((done) => this.#producer.flush(FLUSH_MS_MAX, done))
    while (this.#queued > 0) await this.ready()
  }

  close(): Promise<void> {
    return called((done) => this.#producer.disconnect(done))
  }
}

export async function nodeRdkafka(directory: string): Promise<Peer> {
  const { Producer, KafkaConsumer } = (await loadPackage(directory, 'node-rdkafka')) as NodeRdkafka

  const produce = async (spec: ProducerSpec, onLatency: OnLatency) => {
    const settings = { 'bootstrap.servers': spec.bootstrap, ...producerProperties(spec), dr_cb: true }
    const producer = new Producer(settings, {})
    await called((done) => producer.connect({}, done))
    return new RdkafkaProducer(producer, spec, onLatency)
  }

  const consume = async (spec: ConsumerSpec, { onValue, onError }: Reading): Promise<PeerConsumer> => {
    const group = { 'group.id': 'bench', 'enable.auto.commit': false }
    const settings = { 'bootstrap.servers': spec.bootstrap, ...group, ...consumerProperties }
    const consumer = new KafkaConsumer(settings, { 'auto.offset.reset': 'earliest' })
    await called((done) => consumer.connect({}, done))
    consumer.setDefaultConsumeTimeout(WAIT_MS)
    const partitions = Array.from({ length: spec.partitions }, (_, partition) => partition)
    consumer.assign(partitions.map((partition) => ({ topic: spec.topic, partition, offset: OFFSET_BEGINNING })))
    let isClosed = false
    const next = () => {
      if (isClosed) return
      consumer.consume(TAKEN_MAX, (error, messages) => {
        if (isClosed) return
        if (error) return onError(error)
        for (const { value } of messages) if (value !== null) onValue(value)
        setImmediate(next)
      })
    }
    next()
    return {
      close: () => {
        isClosed = true
        return called((done) => consumer.disconnect(done))
      },
    }
  }
  return { produce, consume }
}
