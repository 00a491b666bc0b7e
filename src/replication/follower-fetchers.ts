/** A fetcher for every broker that leads something of which this broker has replicas. */
import { SlabPool } from '../net/index.ts'
import { type FetcherContext, FollowerFetcher } from './follower-fetcher.ts'
import type { Partition } from './partition.ts'

export class FollowerFetchers {
  readonly #context: FetcherContext
  readonly #byLeader = new Map<number, FollowerFetcher>()
  /** Who leads each partition that is followed. */
  readonly #leaders = new Map<Partition, FollowerFetcher>()
  readonly #closing = new Set<Promise<void>>()
  #closed = false

  constructor(context: Omit<FetcherContext, 'pool'>) {
    // Answers are kept until they are written, by as many as the settings of a fetch allow.
    const pool = new SlabPool({ countsDelivered: false, clock: context.env.clock })
    this.#context = {
      env: context.env,
      logger: context.logger,
      settings: context.settings,
      nodeId: context.nodeId,
      brokerEpoch: () => context.brokerEpoch(),
      endpointOf: (id) => context.endpointOf(id),
      restartLog: (partition, epoch, offset) => context.restartLog(partition, epoch, offset),
      pool,
    }
  }

  /** Partitions that are followed. */
  get count(): number {
    return this.#leaders.size
  }

  follow(partition: Partition): void {
    this.unfollow(partition)
    if (this.#closed || !partition.isFollower) return
    const { leaderId } = partition
    let fetcher = this.#byLeader.get(leaderId)
    if (fetcher === undefined) {
      fetcher = new FollowerFetcher(leaderId, this.#context)
      this.#byLeader.set(leaderId, fetcher)
    }
    this.#leaders.set(partition, fetcher)
    fetcher.follow(partition)
  }

  unfollow(partition: Partition): void {
    const fetcher = this.#leaders.get(partition)
    if (fetcher === undefined) return
    this.#leaders.delete(partition)
    fetcher.unfollow(partition)
    if (fetcher.count > 0) return
    this.#byLeader.delete(fetcher.leaderId)
    const closing: Promise<void> = fetcher.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  /** A broker came, went or moved. */
  brokerChanged(id: number): void {
    this.#byLeader.get(id)?.leaderChanged()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#leaders.clear()
    await Promise.all([...this.#closing, ...[...this.#byLeader.values()].map((fetcher) => fetcher.close())])
    this.#byLeader.clear()
  }
}
