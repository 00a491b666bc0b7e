/**
 * The sending side of clients whose `send` takes an array of records and makes requests of just these: they gather nothing by
 * themselves. So each is given as many as fill `batch.size` in every partition, and five arrays are under way at a time.
 */
import { withResolvers } from '../../process/resolvers.ts'
import type { ProducerSpec } from '../protocol.ts'
import type { OnLatency, PeerProducer } from './peer.ts'

const IN_FLIGHT_MAX = 5
/** What a small record takes in a batch beside its value. */
const RECORD_OVERHEAD_BYTES = 10

export interface ArrayClient {
  /** Resolves when all of them are acknowledged. */
  send(values: readonly Buffer[]): Promise<unknown>
  close(): Promise<unknown>
}

export class ArrayProducer implements PeerProducer {
  delivered = 0
  failed = 0
  lastError: string | null = null
  readonly #client: ArrayClient
  readonly #onLatency: OnLatency
  readonly #records: number
  readonly #inFlight = new Set<Promise<void>>()
  #freed = withResolvers<void>()

  constructor(client: ArrayClient, spec: ProducerSpec, onLatency: OnLatency) {
    this.#client = client
    this.#onLatency = onLatency
    const perBatch = Math.floor(spec.batchBytes / (spec.payload.valueBytes + RECORD_OVERHEAD_BYTES))
    this.#records = Math.max(1, perBatch) * spec.partitions
  }

  get room(): number {
    return this.#inFlight.size < IN_FLIGHT_MAX ? this.#records : 0
  }

  ready(): Promise<void> {
    return this.#freed.promise
  }

  send(values: readonly Buffer[]): void {
    const sentMs = performance.now()
    const sending = this.#client.send(values).then(
      () => {
        this.delivered += values.length
        this.#onLatency(performance.now() - sentMs)
      },
      (error: unknown) => {
        this.failed += values.length
        this.lastError = error instanceof Error ? error.message : String(error)
      },
    )
    const ended = sending.then(() => {
      this.#inFlight.delete(ended)
      const freed = this.#freed
      this.#freed = withResolvers<void>()
      freed.resolve()
    })
    this.#inFlight.add(ended)
  }

  async flush(): Promise<void> {
    await Promise.all(this.#inFlight)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}
