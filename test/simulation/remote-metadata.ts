/**
 * The metadata store as a broker of a simulated cluster sees it over the network: calls take their time, wait behind
 * cuts, are carried out though nobody hears of it, and end with the errors that every engine has for that. One object is
 * one life of a broker; nothing of it happens any more when that is over.
 */
import { PagelogError } from '../../src/base/index.ts'
import type { Actor, Scheduler, SeededRandom, SimulatedNetwork } from '../../src/env/simulated/index.ts'
import type {
  Compare,
  KeyValue,
  Lease,
  MetadataEvent,
  MetadataStore,
  Operation,
  TransactionResult,
  Unwatch,
  WatchListener,
} from '../../src/metadata/index.ts'
import type { MetadataHost } from './metadata-host.ts'

export const METADATA_HOST = 'metadata'
const CALL_TIMEOUT_MS = 2000
/** Changes that are late come after anything up to this. */
const LATE_MS = 2 * CALL_TIMEOUT_MS

export interface RemoteMetadataOptions {
  readonly server: MetadataHost
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  /** Where the broker lives, and its life. */
  readonly host: string
  readonly actor: Actor
  /** Share of answers that get lost. */
  readonly lostAnswers: number
  /** Share of changes that are held up on their way, maybe until their caller has given up. */
  readonly lateChanges: number
}

export class RemoteMetadata implements MetadataStore {
  readonly #options: RemoteMetadataOptions
  readonly #random: SeededRandom

  constructor(options: RemoteMetadataOptions) {
    this.#options = options
    this.#random = options.scheduler.random.fork()
  }

  get(key: string): Promise<{ pair: KeyValue | undefined; revision: number }> {
    return this.#call('get', (store) => store.get(key), false)
  }

  range(prefix: string): Promise<{ pairs: readonly KeyValue[]; revision: number }> {
    return this.#call('range', (store) => store.range(prefix), false)
  }

  transact(compare: readonly Compare[], operations: readonly Operation[]): Promise<TransactionResult> {
    return this.#call('transact', (store) => store.transact(compare, operations), operations.length > 0)
  }

  grantLease(ttlMs: number): Promise<Lease> {
    return this.#call('grant', (store) => store.grantLease(ttlMs), false)
  }

  keepAlive(leaseId: string): Promise<number> {
    return this.#call('keep alive', (store) => store.keepAlive(leaseId), false)
  }

  revokeLease(leaseId: string): Promise<void> {
    return this.#call('revoke', (store) => store.revokeLease(leaseId), false)
  }

  watch(prefix: string, fromRevision: number, listener: WatchListener): Unwatch {
    const { server, network, host, actor, scheduler } = this.#options
    const waiting: { readonly events: readonly MetadataEvent[]; readonly revision: number }[] = []
    let nextRevision = fromRevision
    let isOver = false
    let isUnwatched = false
    let isUnderWay = false
    let end: Unwatch = () => {}
    const tell = (what: string, told: () => void): void => void actor.after(0, () => void (isOver || told()), what)
    const resumed = (): void => tell('watch resumed', () => listener.resumed?.())
    const next = (): void => {
      if (actor.isDead) stop()
      if (isOver || isUnderWay || waiting.length === 0) return
      isUnderWay = true
      send()
    }
    const send = (): void => {
      const delayMs = network.links.delayMs(METADATA_HOST, host) + (server.watchLagMs.get(host) ?? 0)
      scheduler.world.after(delayMs, arrive, 'watch')
    }
    const arrive = (): void => {
      if (!network.links.isOpen(METADATA_HOST, host)) {
        network.links.whenOpen(METADATA_HOST, host, () => {
          resumed()
          send()
        })
        return
      }
      isUnderWay = false
      // One that lags sees every state there was, one after the other.
      for (const { events, revision } of waiting.splice(0, server.watchLagMs.has(host) ? 1 : waiting.length)) {
        tell('watch event', () => listener.changed(events, revision))
      }
      next()
    }
    const begin = (): void => {
      if (isOver || actor.isDead || server.store === undefined) return
      end()
      end = server.store.watch(prefix, nextRevision, {
        changed: (events, revision) => {
          nextRevision = revision + 1
          waiting.push({ events, revision })
          next()
        },
        lost: (reason) => {
          stop()
          actor.after(0, () => void (isUnwatched || listener.lost(reason)), 'watch lost')
        },
      })
    }
    const startAgain = (): void => {
      resumed()
      network.links.travel(host, METADATA_HOST, begin, 'watch begins again')
    }
    const stop = (): void => {
      isOver = true
      server.onStarted.delete(startAgain)
      end()
    }
    server.onStarted.add(startAgain)
    network.links.travel(host, METADATA_HOST, begin, 'watch begins')
    return () => {
      isUnwatched = true
      stop()
    }
  }

  async close(): Promise<void> {}

  /** `isChange`: when it is not answered, nobody knows whether it was done. */
  #call<T>(what: string, work: (store: MetadataStore) => Promise<T>, isChange: boolean): Promise<T> {
    const { server, network, host, actor, lostAnswers, lateChanges, scheduler } = this.#options
    return new Promise<T>((resolve, reject) => {
      const timer = actor.after(CALL_TIMEOUT_MS, () => {
        const code = isChange ? 'PAGELOG_OUTCOME_UNKNOWN' : 'PAGELOG_METADATA_UNREACHABLE'
        reject(new PagelogError(code, `${what} was not answered in ${CALL_TIMEOUT_MS} ms`, { retriable: true }))
      })
      const answer = (settle: () => void): void => {
        if (this.#random.chance(lostAnswers)) return
        const settled = (): void => {
          timer.cancel()
          settle()
        }
        const arrive = (): void => void actor.after(0, settled, `${what} answered`)
        network.links.travel(METADATA_HOST, host, arrive, 'metadata answer')
      }
      const ask = (): void => {
        const { store } = server
        if (store === undefined) {
          const error = new PagelogError('PAGELOG_METADATA_UNREACHABLE', 'connection refused', { retriable: true })
          answer(() => reject(error))
          return
        }
        // Of a store that has ended meanwhile nobody hears anything.
        const isStill = (): boolean => server.store === store
        work(store).then(
          (result) => void (isStill() && answer(() => resolve(result))),
          (error: unknown) => void (isStill() && answer(() => reject(error))),
        )
      }
      const isLate = isChange && this.#random.chance(lateChanges)
      const arrive = (): void => {
        if (isLate) scheduler.world.after(this.#random.below(LATE_MS), ask, 'late metadata call')
        else ask()
      }
      network.links.travel(host, METADATA_HOST, arrive, 'metadata call')
    })
  }
}
