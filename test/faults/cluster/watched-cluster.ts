/** A cluster as a test sees it from outside: by its metadata, which no fault keeps from this process, and by its folders. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger } from '../../../src/base/index.ts'
import { Admin } from '../../../src/client/index.ts'
import { nodeEnv } from '../../../src/env/index.ts'
import {
  ClusterImage,
  connectMetadata,
  type Endpoint,
  type MetadataStore,
  type PartitionState,
} from '../../../src/metadata/index.ts'
import type { ReplicaBytes } from '../../simulation/history.ts'
import { PartitionLaws } from './partition-laws.ts'

/** Every limit of these tests is what is promised, times this: machines are slower, and do other things too. */
export const SLACK = 3
/** What is promised when nothing fails any more: until all replicas are in sync, and until every partition is writable. */
export const HEAL_MS = 30_000
const LOOK_MS = 20

export interface View {
  readonly store: MetadataStore
  readonly image: ClusterImage
}

export async function openView(endpoints: readonly Endpoint[], root: string): Promise<View> {
  const { clock } = nodeEnv()
  const store = await connectMetadata({ clock, endpoints, root })
  return { store, image: await ClusterImage.open(store, { clock, logger: silentLogger }) }
}

export interface Member {
  readonly id: number
  readonly address: string
  readonly directory: string
  readonly isRunning: boolean
  /** What it printed last. */
  readonly output: string
}

/** Something that was waited for did not come. */
export class NotReached extends Error {
  readonly what: string

  constructor(what: string, limitMs: number, state: string) {
    super(`${what}: not so after ${limitMs} ms\n${state}`)
    this.what = what
  }
}

export abstract class WatchedCluster implements AsyncDisposable {
  readonly image: ClusterImage
  readonly store: MetadataStore
  readonly laws = new PartitionLaws()
  healMs: number = SLACK * HEAL_MS
  /** The longest that `whole` has waited. */
  longestHealMs = 0

  constructor({ store, image }: View) {
    this.store = store
    this.image = image
    image.onChange(({ partitions }) => {
      for (const [id, indexes] of partitions) {
        for (const index of indexes) this.laws.see(id, image.partition(id, index))
      }
    })
  }

  abstract readonly brokers: readonly Member[]

  /** All brokers in order. */
  abstract stop(): Promise<void>

  abstract [Symbol.asyncDispose](): Promise<void>

  get bootstrap(): string[] {
    return this.brokers.map(({ address }) => address)
  }

  async createTopic(topic: string, partitions: number, configs: Readonly<Record<string, string>> = {}): Promise<void> {
    const admin = new Admin({ bootstrap: this.bootstrap })
    try {
      await admin.createTopics([{ topic, partitions, replicationFactor: 3, configs }])
    } finally {
      await admin.close()
    }
    await this.whole()
  }

  partition(topic: string, index: number): PartitionState {
    return this.image.topic(topic)!.partitions[index]!
  }

  get partitions(): readonly PartitionState[] {
    return this.image.topics().flatMap(({ partitions }) => partitions)
  }

  epochOf(id: number): number {
    return this.image.brokers.get(id)?.epoch ?? 0
  }

  /** Waits until `fits`; throws with what the metadata says when that takes too long. */
  async until(what: string, fits: () => boolean, limitMs: number = this.healMs): Promise<void> {
    const end = performance.now() + limitMs
    while (!fits()) {
      if (performance.now() > end) throw new NotReached(what, limitMs, this.describe())
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  /**
   * Every broker is registered, and all replicas are in sync. `since`: the brokers' epochs of before, for those that
   * have to register anew; without that a fault would be over before anybody has noticed it.
   */
  async whole(since: ReadonlyMap<number, number> = new Map()): Promise<void> {
    const fromMs = performance.now()
    await this.until('the cluster is whole', () => this.isWhole(since))
    this.longestHealMs = Math.max(this.longestHealMs, performance.now() - fromMs)
  }

  isWhole(since: ReadonlyMap<number, number> = new Map()): boolean {
    const { brokers } = this.image
    return (
      this.brokers.every(({ id }) => brokers.has(id) && this.epochOf(id) > (since.get(id) ?? 0)) &&
      this.partitions.every(({ isr, replicas, leader }) => isr.length === replicas.length && brokers.has(leader))
    )
  }

  describe(): string {
    const brokers = [...this.image.brokers.values()].map(({ id, epoch, leaving }) => ({ id, epoch, leaving }))
    const lines = this.image.topics().flatMap(({ name, partitions }) =>
      partitions.map(({ index, leader, leaderEpoch, isr, elr, partitionEpoch, suspects }) => {
        const more = suspects === undefined ? '' : ` suspects ${JSON.stringify(suspects)}`
        return `${name}-${index} leader ${leader} epoch ${leaderEpoch} isr ${isr} elr ${elr} partition epoch ${partitionEpoch}${more}`
      }),
    )
    const tails = this.brokers.map((one) => `broker ${one.id} runs: ${one.isRunning}\n${one.output.slice(-1500)}`)
    return [`controller ${this.image.controller?.id}`, JSON.stringify(brokers), ...lines, ...tails].join('\n')
  }

  /** The stored batches of a partition, by broker. Brokers should be stopped. */
  async stored(partition: string): Promise<ReplicaBytes[]> {
    return await Promise.all(this.brokers.map(({ id, directory }) => readReplica(`broker ${id}`, directory, partition)))
  }
}

/** The stored batches of one replica. */
export async function readReplica(name: string, directory: string, partition: string): Promise<ReplicaBytes> {
  const folder = join(directory, partition)
  const files = (await readdir(folder)).filter((file) => file.endsWith('.log')).sort()
  const contents = await Promise.all(files.map((file) => readFile(join(folder, file))))
  return { name, startOffset: Number.parseInt(files[0]!, 10), bytes: Buffer.concat(contents) }
}
