/**
 * Records sent before the metadata of their topic was there: `send` does not wait, so they are copied and kept in order
 * until their partition can be chosen. Their memory counts against `buffer.memory`.
 */
import { PagelogError } from '../base/index.ts'
import { BatchWriter } from '../record/index.ts'
import { BatchCompletion } from './batch-completion.ts'
import type { BatchMemory } from './batch-memory.ts'
import { Delivery } from './delivery.ts'
import type { EncodableRecord } from './record-accumulator.ts'

/** A record on its own that stands in for its slot in a batch to come. */
export interface LateRecord extends EncodableRecord {
  readonly partition: number | undefined
  readonly completion: BatchCompletion
  readonly bytes: number
  readonly createdMs: number
}

/** Beyond this many, `hasRoom` says no: waiting for metadata is better than copying on. */
const COUNT_WANTED_MAX = 1_000

export class LateRecords {
  readonly #memory: BatchMemory
  readonly #byTopic = new Map<string, LateRecord[]>()
  #count = 0

  constructor(memory: BatchMemory) {
    this.#memory = memory
  }

  get count(): number {
    return this.#count
  }
  get hasRoom(): boolean {
    return this.#count < COUNT_WANTED_MAX
  }
  topics(): string[] {
    return [...this.#byTopic.keys()]
  }
  *completions(): Iterable<BatchCompletion> {
    for (const records of this.#byTopic.values()) for (const record of records) yield record.completion
  }

  /** Copies the record. Throws PAGELOG_BUFFER_FULL. */
  add(topic: string, record: EncodableRecord, partition: number | undefined, createdMs: number): Delivery {
    const bytes = BatchWriter.recordSizeMax(record.key, record.value, record.headers)
    if (!this.#memory.reserve(bytes)) {
      throw new PagelogError('PAGELOG_BUFFER_FULL', 'buffer.memory is used up by records that wait for metadata', {
        retriable: true,
      })
    }
    const completion = new BatchCompletion(topic, record.timestamp)
    const kept: LateRecord = {
      timestamp: record.timestamp,
      key: record.key?.slice() ?? null,
      value: record.value?.slice() ?? null,
      headers: record.headers?.map(({ key, value }) => ({ key, value: value?.slice() ?? null })),
      partition,
      completion,
      bytes,
      createdMs,
    }
    const records = this.#byTopic.get(topic)
    if (records === undefined) this.#byTopic.set(topic, [kept])
    else records.push(kept)
    this.#count++
    return new Delivery(completion, 0, 0)
  }

  /** Takes all records of a topic out, in order; their memory is free again. */
  take(topic: string): readonly LateRecord[] {
    const records = this.#byTopic.get(topic) ?? []
    this.#byTopic.delete(topic)
    this.#forget(records)
    return records
  }

  /** Takes those out that were added before `beforeMs`. */
  takeExpired(beforeMs: number): readonly LateRecord[] {
    const expired: LateRecord[] = []
    for (const [topic, records] of this.#byTopic) {
      const young = records.findIndex((record) => record.createdMs > beforeMs)
      const old = young === -1 ? records.splice(0) : records.splice(0, young)
      if (records.length === 0) this.#byTopic.delete(topic)
      for (const record of old) expired.push(record)
    }
    this.#forget(expired)
    return expired
  }

  #forget(records: readonly LateRecord[]): void {
    this.#count -= records.length
    for (const record of records) this.#memory.release(record.bytes)
  }
}
