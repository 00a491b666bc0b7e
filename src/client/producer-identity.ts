/**
 * The idempotent producer's id and epoch. Partitions adopt it when they first send; one whose sequence was broken gets
 * the next epoch without asking the broker (KIP-360), a whole new id only when epochs are used up or the id is void.
 */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { InitProducerId } from '../protocol/index.ts'
import { backoffMs } from './backoff.ts'
import type { ClusterConnections } from './cluster-connections.ts'
import type { PartitionQueue } from './partition-queue.ts'
import type { ConnectionSettings } from './settings.ts'
import { delay } from './waiting.ts'

const EPOCH_MAX = 32_767
/** Sent although no transaction is meant. */
const TRANSACTION_TIMEOUT_MS = 2_147_483_647

export class ProducerIdentity {
  readonly #env: Pick<Env, 'clock' | 'random'>
  readonly #cluster: ClusterConnections
  readonly #settings: ConnectionSettings
  readonly #logger: Logger
  #producerId = -1
  #producerEpoch = -1
  #asking = false
  #closed = false
  /** Why there will never be an id: the broker refused for good. */
  #error: PagelogError | undefined
  readonly #onReady: () => void

  /** `onReady` is called when an id has come, or the error for which none will. */
  constructor(
    env: Pick<Env, 'clock' | 'random'>,
    cluster: ClusterConnections,
    settings: ConnectionSettings,
    logger: Logger,
    onReady: () => void,
  ) {
    this.#env = env
    this.#cluster = cluster
    this.#settings = settings
    this.#logger = logger
    this.#onReady = onReady
  }

  get error(): PagelogError | undefined {
    return this.#error
  }

  /** Whether there is an id to send under; if not one is asked for, and `onReady` told. */
  ready(): boolean {
    if (this.#producerId >= 0) return true
    if (!this.#asking && this.#error === undefined) void this.#ask()
    return false
  }

  /** The partition may send: it has an identity, a fresh one if it needs that. False while one is being asked for. */
  equip(queue: PartitionQueue): boolean {
    if (queue.producerId >= 0 && !queue.needsNewEpoch && !queue.needsNewId) return true
    if (queue.needsNewId && queue.producerId === this.#producerId) this.#producerId = -1
    else if (queue.needsNewEpoch && queue.producerId === this.#producerId) {
      if (this.#producerEpoch >= EPOCH_MAX) this.#producerId = -1
      else this.#producerEpoch++
    }
    if (!this.ready()) return false
    queue.adopt(this.#producerId, this.#producerEpoch)
    return true
  }

  close(): void {
    this.#closed = true
  }

  async #ask(): Promise<void> {
    this.#asking = true
    const { retryBackoffMs, retryBackoffMaxMs } = this.#settings
    for (let failures = 1; !this.#closed && this.#producerId < 0 && this.#error === undefined; failures++) {
      try {
        await this.#askOnce()
      } catch (error) {
        if (error instanceof PagelogError && !error.retriable && error.code === 'PAGELOG_BROKER') this.#error = error
        else if (error instanceof PagelogError && error.code === 'PAGELOG_UNSUPPORTED') this.#error = error
        else {
          this.#logger.debug({ error }, 'no producer id yet')
          await delay(this.#env.clock, backoffMs(failures, retryBackoffMs, retryBackoffMaxMs, this.#env.random))
        }
      }
    }
    this.#asking = false
    if (!this.#closed) this.#onReady()
  }

  async #askOnce(): Promise<void> {
    const connection = await this.#cluster.any()
    const { body, release } = await connection.ask(InitProducerId, {
      transactionalId: null,
      transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    })
    release()
    if (body.errorCode !== ErrorCode.NONE) {
      const { name, retriable } = errorOf(body.errorCode)
      throw new PagelogError('PAGELOG_BROKER', `no producer id: ${name}`, { kafkaCode: body.errorCode, retriable })
    }
    this.#producerId = body.producerId
    this.#producerEpoch = body.producerEpoch
  }
}
