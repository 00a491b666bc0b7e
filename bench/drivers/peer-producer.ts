/** The producer's driver with another client in it: the phases, values and sums of producer.ts. */
import { crc32c } from '../../src/native/index.ts'
import { LatencyRecorder } from '../measure/latency.ts'
import type { Channel } from './channel.ts'
import { Payloads } from './payloads.ts'
import type { Peer, PeerProducer } from './peers/peer.ts'
import { type Producing, producePhases } from './producing.ts'
import type { DriverResult, ProducerSpec } from './protocol.ts'

class Sender implements Producing {
  readonly latency: LatencyRecorder
  readonly #producer: PeerProducer
  readonly #values: readonly Buffer[]
  #next = 0
  sent = 0

  constructor(producer: PeerProducer, values: readonly Buffer[], latency: LatencyRecorder) {
    this.latency = latency
    this.#producer = producer
    this.#values = values
  }

  get delivered(): number {
    return this.#producer.delivered
  }

  async run(records: number, seconds: number): Promise<{ records: number; seconds: number }> {
    const startedMs = performance.now()
    const deadlineMs = startedMs + seconds * 1000
    let sent = 0
    while (sent < records && performance.now() < deadlineMs) {
      const { room } = this.#producer
      if (room === 0) {
        await this.#producer.ready()
        continue
      }
      const count = Math.min(room, records - sent)
      this.#producer.send(this.#take(count))
      sent += count
      // Clients that acknowledge by events need turns of the loop.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.sent += sent
    await this.#producer.flush()
    return { records: sent, seconds: (performance.now() - startedMs) / 1000 }
  }

  async close(): Promise<{ errors: number; retries: number }> {
    const producer = this.#producer
    await producer.close()
    if (producer.failed > 0) throw new Error(`${producer.failed} records were not acknowledged: ${producer.lastError}`)
    // No client of others tells how often it sent again.
    return { errors: 0, retries: 0 }
  }

  /** The next ones, round the pool. */
  #take(count: number): Buffer[] {
    const taken: Buffer[] = new Array(count)
    for (let i = 0; i < count; i++) {
      taken[i] = this.#values[this.#next]!
      this.#next = this.#next + 1 === this.#values.length ? 0 : this.#next + 1
    }
    return taken
  }
}

export async function runPeerProducer(peer: Peer, spec: ProducerSpec, channel: Channel): Promise<DriverResult> {
  const payloads = new Payloads({ ...spec.payload, crc: (bytes) => crc32c(bytes) })
  const values = payloads.values.map(({ buffer, byteOffset, length }) => Buffer.from(buffer, byteOffset, length))
  const latency = new LatencyRecorder()
  const producer = await peer.produce(spec, (milliseconds) => latency.record(milliseconds))
  return producePhases(new Sender(producer, values, latency), spec, payloads, channel)
}
