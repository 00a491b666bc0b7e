/**
 * A topic of a simulated cluster that is deleted and created again under its name, while brokers come and go. Each time it
 * has another producer and another name in the history, so that nothing of an earlier one may be found in it.
 */
import type { Admin } from '../../src/client/index.ts'
import { type TopicValue, topicKey } from '../../src/metadata/index.ts'
import type { Load } from './load.ts'
import type { MetadataHost } from './metadata-host.ts'

export const RECREATED = 'recreated'
const SEND_EVERY_MS = 500
const PRODUCER_OPTIONS = { requestTimeoutMs: 3000, deliveryTimeoutMs: 6000 }

export class RecreatedTopic {
  readonly #load: Load
  readonly #admin: Admin
  readonly #metadata: MetadataHost
  /** How often it was created. */
  #lives = 0
  #topicId: string | undefined
  #stop: (() => Promise<void>) | undefined
  /** It is being made anew. */
  isChanging = false

  constructor(load: Load, admin: Admin, metadata: MetadataHost) {
    this.#load = load
    this.#admin = admin
    this.#metadata = metadata
  }

  static isProducer(name: string): boolean {
    return /^r\d+$/.test(name)
  }

  /** Its name in the history. */
  get told(): string {
    return `${RECREATED}.${this.#lives}`
  }

  /** Id of the one that is there, unless a deletion that nobody waits for any more has come through. */
  get topicId(): string | undefined {
    const id = this.#topicId
    return id !== undefined && this.#metadata.partitions.has(`${id}/0`) ? id : undefined
  }

  /** Deletes it, if it is there, and makes another one. What fails is left for the next time. Never rejects. */
  async recreate(replicationFactor: number): Promise<void> {
    if (this.isChanging) return
    this.isChanging = true
    this.#topicId = undefined
    try {
      await this.#stop?.()
      this.#stop = undefined
      if (this.#lives > 0) await this.#admin.deleteTopics([RECREATED])
      const configs = { 'min.insync.replicas': '2' }
      await this.#admin.createTopics([{ topic: RECREATED, partitions: 1, replicationFactor, configs }])
      this.#lives++
      const value = (await this.#metadata.store?.get(topicKey(RECREATED)))?.pair?.value
      if (value === undefined) return
      this.#topicId = (JSON.parse(value) as TopicValue).id
      this.#stop = this.#load.produce(`r${this.#lives}`, RECREATED, 1, SEND_EVERY_MS, PRODUCER_OPTIONS, this.told)
    } catch {
      // Maybe done all the same.
      this.#lives++
    } finally {
      this.isChanging = false
    }
  }
}
