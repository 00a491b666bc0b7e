/**
 * One writer for each partition of a topic: sends a record with acks=all, waits until it is acknowledged, pauses, sends
 * the next. What a record waits for is what its partition was not available for. The client's back-offs are short, so
 * that they are not what is measured; all else is its default, idempotence too.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer } from '../../../src/client/index.ts'

export interface Written {
  readonly sentMs: number
  readonly acknowledgedMs: number
}

const DELIVERY_MS = 60_000
const BACKOFF_MS = 10
const BACKOFF_MS_MAX = 40

export class PacedWriters {
  readonly #producer: Producer
  readonly #written: Written[][]
  readonly #loops: Promise<void>[]
  #stopped = false
  /** What clients were told. */
  readonly errors: string[] = []

  constructor(bootstrap: string, topic: string, partitions: number, pauseMs: number) {
    this.#producer = new Producer({
      bootstrap,
      lingerMs: 0,
      deliveryTimeoutMs: DELIVERY_MS,
      retryBackoffMs: BACKOFF_MS,
      retryBackoffMaxMs: BACKOFF_MS_MAX,
      reconnectBackoffMs: BACKOFF_MS,
      reconnectBackoffMaxMs: BACKOFF_MS_MAX,
    })
    this.#written = Array.from({ length: partitions }, () => [])
    this.#loops = this.#written.map((written, partition) => this.#write(topic, partition, written, pauseMs))
  }

  async #write(topic: string, partition: number, written: Written[], pauseMs: number): Promise<void> {
    const value = new Uint8Array(100)
    while (!this.#stopped) {
      const sentMs = performance.now()
      try {
        await this.#producer.send({ topic, partition, value })
        written.push({ sentMs, acknowledgedMs: performance.now() })
      } catch (error) {
        if (!this.#stopped) this.errors.push(error instanceof Error ? error.message : String(error))
      }
      await sleep(pauseMs)
    }
  }

  /** The records of a partition that were acknowledged in that time. */
  between(partition: number, fromMs: number, toMs: number): readonly Written[] {
    return this.#written[partition]!.filter(({ acknowledgedMs: at }) => at >= fromMs && at <= toMs)
  }

  /** Whether all of these partitions had a record acknowledged after that moment. */
  haveWrittenSince(partitions: readonly number[], sinceMs: number): boolean {
    return partitions.every((partition) => (this.#written[partition]!.at(-1)?.acknowledgedMs ?? 0) >= sinceMs)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([this.#producer.close(), ...this.#loops])
  }
}

/** The one that waited longest; undefined when there is none. */
export function longest(written: readonly Written[]): Written | undefined {
  let found: Written | undefined
  for (const one of written) if (found === undefined || waitOf(one) > waitOf(found)) found = one
  return found
}

export function waitOf({ sentMs, acknowledgedMs }: Written): number {
  return acknowledgedMs - sentMs
}
