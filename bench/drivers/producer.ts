/**
 * A producer as an application would write it: one `send` per record, waiting only when the producer says that it has
 * no room. A phase is measured from its first send until all it sent is acknowledged.
 */
import { Producer } from '../../src/client/index.ts'
import { crc32c } from '../../src/native/index.ts'
import { LatencyRecorder } from '../measure/latency.ts'
import type { Channel } from './channel.ts'
import { Payloads } from './payloads.ts'
import { type Producing, producePhases } from './producing.ts'
import type { DriverResult, ProducerSpec } from './protocol.ts'

/** One record in so many has its latency taken: often enough for p99.99, too rare to cost anything. */
const LATENCY_EVERY = 1009
/** The clock is looked at once in so many records. */
const LOOK_EVERY = 4096

class ProducerDriver implements Producing {
  readonly #producer: Producer
  readonly #topic: string
  readonly #values: readonly Uint8Array[]
  readonly latency = new LatencyRecorder()
  #next = 0
  sent = 0

  constructor(producer: Producer, topic: string, values: readonly Uint8Array[]) {
    this.#producer = producer
    this.#topic = topic
    this.#values = values
  }

  get delivered(): number {
    return this.#producer.stats.recordsDelivered
  }

  async run(records: number, seconds: number): Promise<{ records: number; seconds: number }> {
    const startedMs = performance.now()
    const deadlineMs = startedMs + seconds * 1000
    const producer = this.#producer
    const values = this.#values
    const topic = this.#topic
    let sent = 0
    while (sent < records) {
      if (!producer.hasRoom) await producer.ready()
      const burst = Math.min(records, sent + LOOK_EVERY - (sent % LOOK_EVERY))
      while (sent < burst && producer.hasRoom) {
        const value = values[this.#next]!
        this.#next = this.#next + 1 === values.length ? 0 : this.#next + 1
        if (sent % LATENCY_EVERY === 0) this.#sendTimed(value)
        else producer.send({ topic, value })
        sent++
      }
      if (sent % LOOK_EVERY === 0 && performance.now() >= deadlineMs) break
    }
    this.sent += sent
    await producer.flush()
    return { records: sent, seconds: (performance.now() - startedMs) / 1000 }
  }

  async close(): Promise<{ errors: number; retries: number }> {
    const { recordsFailed, retries } = this.#producer.stats
    await this.#producer.close()
    return { errors: recordsFailed, retries }
  }

  #sendTimed(value: Uint8Array): void {
    const sentMs = performance.now()
    this.#producer.send({ topic: this.#topic, value }).then(
      () => this.latency.record(performance.now() - sentMs),
      // A failed delivery is counted by the producer itself.
      () => {},
    )
  }
}

export async function runProducer(spec: ProducerSpec, channel: Channel): Promise<DriverResult> {
  const payloads = new Payloads({ ...spec.payload, crc: (bytes) => crc32c(bytes) })
  const producer = new Producer({
    bootstrap: spec.bootstrap,
    clientId: 'pagelog-bench-producer',
    acks: acksOption(spec.acks),
    idempotent: false,
    batchBytes: spec.batchBytes,
    lingerMs: spec.lingerMs,
    bufferBytes: spec.bufferBytes,
  })
  const driver = new ProducerDriver(producer, spec.topic, payloads.values)
  await producer.partitionsOf(spec.topic)
  return producePhases(driver, spec, payloads, channel)
}

export function acksOption(acks: number): 'all' | 1 | 0 {
  return acks === -1 ? 'all' : acks === 1 ? 1 : 0
}
