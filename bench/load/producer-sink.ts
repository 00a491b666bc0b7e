/** pagelog's producer as what a loop sends into: values and keys in turn, stamped where they are to be verified. */
import { silentLogger } from '../../src/base/index.ts'
import { Producer } from '../../src/client/index.ts'
import { acksOption } from '../drivers/producer.ts'
import { Keys } from './keys.ts'
import type { Passage, Sink } from './open-loop.ts'
import type { LoadProducerSpec } from './protocol.ts'
import { monotonicOffsetMs, STAMP_BYTES, Stamper } from './stamp.ts'
import { makeValues, meanBytes } from './values.ts'
import { rangesOf, type SentRecords } from './verification.ts'

const REQUEST_SECONDS_MAX = 30

/** Failed numbers that are kept one by one; a run with more than these is none that anybody verifies. */
const DOUBTFUL_MAX = 5_000_000

export class ProducerSink implements Sink {
  readonly producer: Producer
  readonly bytesPerValue: number
  lastError: string | null = null
  readonly #topic: string
  readonly #values: readonly Uint8Array[]
  readonly #keys: Keys
  readonly #stamper: Stamper | undefined
  readonly #offsetMs = monotonicOffsetMs()
  readonly #travelling = new Map<Passage, number[]>()
  readonly #doubtful: number[] = []
  #next = 0
  #heardOf: string | null = null

  constructor(spec: LoadProducerSpec, env: ConstructorParameters<typeof Producer>[0]['env'] = undefined) {
    const values = makeValues(spec.values, spec.poolBytes, spec.seed + spec.producer)
    this.#values = spec.stamped ? values.map((value) => (value.length < STAMP_BYTES ? padded(value) : value)) : values
    this.bytesPerValue = meanBytes(this.#values)
    this.#topic = spec.topic
    this.#keys = new Keys(spec.keys, spec.seed + spec.producer)
    this.#stamper = spec.stamped ? new Stamper(spec.producer) : undefined
    const { tuning } = spec
    const deliveryMs = Math.round(Math.max(1, spec.drainSeconds) * 1000)
    const requestTimeoutMs = Math.min(REQUEST_SECONDS_MAX * 1000, deliveryMs)
    this.producer = new Producer({
      bootstrap: spec.bootstrap,
      clientId: `pagelog-bench-load-${spec.producer}`,
      acks: acksOption(tuning.acks),
      idempotent: tuning.idempotent,
      batchBytes: tuning.batchBytes,
      lingerMs: tuning.lingerMs,
      bufferBytes: Math.max(tuning.bufferBytes, tuning.batchBytes),
      compressionType: tuning.compression,
      maxInFlight: tuning.maxInFlight,
      requestTimeoutMs,
      deliveryTimeoutMs: deliveryMs + requestTimeoutMs + tuning.lingerMs,
      maxBlockMs: deliveryMs,
      env,
      logger: { ...silentLogger, debug: (fields) => this.#heard(fields) },
      onError: (error) => {
        // That time was up says less than what was heard meanwhile.
        this.lastError = this.#heardOf === null ? error.message : `${error.message}; ${this.#heardOf}`
      },
    })
  }

  /** Why something is tried again: what is never settled has no other reason to give. */
  #heard(fields: object): void {
    const { error } = fields as { error?: unknown }
    if (error === undefined) return
    this.#heardOf = error instanceof Error ? error.message : String(error)
    this.lastError = this.#heardOf
  }

  get hasRoom(): boolean {
    return this.producer.hasRoom
  }

  ready(): Promise<void> {
    return this.producer.ready()
  }

  send(intendedMs: number): Passage {
    const value = this.#values[this.#next]!
    this.#next = this.#next + 1 === this.#values.length ? 0 : this.#next + 1
    const key = this.#keys.next()
    const stamper = this.#stamper
    if (stamper === undefined) return this.producer.send({ topic: this.#topic, key, value }).batch
    const number = stamper.count
    const stamped = stamper.stamp(value, intendedMs + this.#offsetMs)
    try {
      const { batch } = this.producer.send({ topic: this.#topic, key, value: stamped })
      this.#follow(batch, number)
      return batch
    } catch (error) {
      this.#doubt([number])
      this.lastError = (error as Error).message
      throw error
    }
  }

  /** Without anybody waiting for it. */
  sendUntimed(): void {
    if (this.#stamper !== undefined) this.send(performance.now())
    else {
      const value = this.#values[this.#next]!
      this.#next = this.#next + 1 === this.#values.length ? 0 : this.#next + 1
      this.producer.send({ topic: this.#topic, key: this.#keys.next(), value })
    }
  }

  /** What is still under way counts as doubtful. */
  sentRecords(producer: number): SentRecords {
    const open = [...this.#travelling.values()].flat()
    return {
      producer,
      count: this.#stamper?.count ?? 0,
      doubtful: rangesOf([...this.#doubtful, ...open]),
    }
  }

  #follow(batch: Passage, number: number): void {
    const numbers = this.#travelling.get(batch)
    if (numbers !== undefined) {
      numbers.push(number)
      return
    }
    const started = [number]
    this.#travelling.set(batch, started)
    batch.done.then(
      () => this.#travelling.delete(batch),
      () => {
        this.#travelling.delete(batch)
        this.#doubt(started)
      },
    )
  }

  #doubt(numbers: readonly number[]): void {
    if (this.#doubtful.length + numbers.length > DOUBTFUL_MAX) throw new Error('too many records failed')
    for (const number of numbers) this.#doubtful.push(number)
  }
}

function padded(value: Uint8Array): Uint8Array {
  const longer = new Uint8Array(STAMP_BYTES)
  longer.set(value)
  return longer
}
