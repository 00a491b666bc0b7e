/** A broker for clients under test, with payload files made once beside its data. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Admin } from '../../src/client/index.ts'
import type { Scratch } from '../process/scratch.ts'
import { startKafka } from '../targets/kafka.ts'
import { startPagelog } from '../targets/pagelog.ts'
import type { Target } from '../targets/target.ts'
import { makePayload, PAYLOAD_BYTES, type PayloadKind, writePayloadFile } from './payloads.ts'

export interface BrokerContext {
  readonly scratch: Scratch
  readonly signal: AbortSignal
}

export interface BrokerChoice {
  readonly node?: string
  readonly partitions?: number
  readonly payloadBytes?: number
}

const PARTITIONS = 6

export class CompressionBroker {
  readonly partitions: number
  readonly #target: Target
  readonly #directory: string
  readonly #payloadBytes: number
  #topics = 0

  static async start(
    { scratch, signal }: BrokerContext,
    name: 'pagelog' | 'kafka',
    choice: BrokerChoice = {},
  ): Promise<CompressionBroker> {
    const partitions = choice.partitions ?? PARTITIONS
    const onStart = (pid: number) => scratch.remember(pid)
    const options = { directory: scratch.directory(name), partitions, onStart, signal }
    // What is deleted leaves the disk at once, so that one run's data are gone before the next.
    const overrides = { 'log.segment.delete.delay.ms': '0' }
    const target = await (name === 'kafka'
      ? startKafka(options)
      : startPagelog({ ...options, overrides, ...(choice.node === undefined ? {} : { node: choice.node }) }))
    return new CompressionBroker(
      target,
      scratch.directory('payloads'),
      partitions,
      choice.payloadBytes ?? PAYLOAD_BYTES,
    )
  }

  private constructor(target: Target, directory: string, partitions: number, payloadBytes: number) {
    this.#target = target
    this.#directory = directory
    this.partitions = partitions
    this.#payloadBytes = payloadBytes
  }

  get bootstrap(): string {
    return this.#target.bootstrap
  }
  get settings(): Readonly<Record<string, string>> {
    return this.#target.settings
  }

  payloadFile(kind: PayloadKind): string {
    const path = join(this.#directory, kind)
    if (!existsSync(path)) writePayloadFile(path, makePayload(kind, this.#payloadBytes))
    return path
  }

  /** A topic for as long as `use` runs; rejects also when the broker dies meanwhile. */
  async withTopic<T>(use: (topic: string) => Promise<T>): Promise<T> {
    const topic = `compression-${this.#topics++}`
    await using admin = new Admin({ bootstrap: this.bootstrap })
    await admin.createTopics([{ topic, partitions: this.partitions, replicationFactor: 1 }])
    try {
      return await Promise.race([use(topic), this.#target.failure])
    } finally {
      await admin.deleteTopics([topic]).catch(() => {})
    }
  }

  async close(): Promise<void> {
    await this.#target.close()
  }
}
