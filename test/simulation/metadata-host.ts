/**
 * The machine with the metadata store of a simulated cluster: killed, paused and started again like any other. What the
 * brokers see of it goes over the network (remote-metadata.ts); what the invariants see of it does not.
 */
import type { Scheduler, SimulatedMachine } from '../../src/env/simulated/index.ts'
import {
  type BrokerValue,
  brokerKey,
  EmbeddedMetadata,
  type PartitionValue,
  parsePartition,
  partitionPrefix,
  setTopicConfigs,
} from '../../src/metadata/index.ts'

const OPENING_MS = 10_000
const PATH = '/metadata.journal'

export class MetadataHost {
  readonly machine: SimulatedMachine
  /** Undefined while it does not run. */
  store: EmbeddedMetadata | undefined
  /** `topic id/index` -> what the store has. */
  readonly partitions = new Map<string, PartitionValue>()
  /** By host: how much later than everything else it hears of changes. */
  readonly watchLagMs = new Map<string, number>()
  /** Called when the store runs again. */
  readonly onStarted = new Set<() => void>()

  private constructor(machine: SimulatedMachine) {
    this.machine = machine
  }

  static async start(scheduler: Scheduler, machine: SimulatedMachine): Promise<MetadataHost> {
    const host = new MetadataHost(machine)
    host.restart()
    const isUp = (): boolean => host.store !== undefined
    if (!(await scheduler.runUntil(isUp, OPENING_MS))) throw new Error('the metadata store does not open')
    return host
  }

  get name(): string {
    return this.machine.name
  }

  /** kill -9. */
  kill(): void {
    this.store = undefined
    this.machine.kill()
  }

  /** Runs, and is not paused, from now on. */
  restart(): void {
    this.machine.resume()
    if (this.machine.isRunning) return
    const { disk, clock } = this.machine.start()
    const life = this.machine.lives
    const opened = (store: EmbeddedMetadata): void => {
      if (this.machine.lives !== life || !this.machine.isRunning) return
      this.store = store
      // What was on its way to the journal when the last life ended.
      void store
        .range(partitionPrefix)
        .then(({ pairs }) => this.#changed(pairs.map((pair) => ({ type: 'put', ...pair }))))
      store.watch('', store.revision + 1, { changed: (events) => this.#changed(events), lost: () => {} })
      for (const tell of this.onStarted) tell()
    }
    // A refusal is the end of its life, not an answer.
    EmbeddedMetadata.open({ disk, clock, path: PATH }).then(opened, () => {})
  }

  /** The lease of a broker ends though it was kept alive, as by somebody's hand. */
  async expire(nodeId: number): Promise<void> {
    const { store } = this
    const value = (await store?.get(brokerKey(nodeId)))?.pair?.value
    const lease = value === undefined ? undefined : (JSON.parse(value) as BrokerValue).lease
    if (lease !== undefined) await store!.revokeLease(lease)
  }

  /** As an operator does it, at the store itself; not done when it does not run or somebody else is faster. */
  async setTopicConfigs(topic: string, configs: Readonly<Record<string, string>>): Promise<void> {
    if (this.store !== undefined) await setTopicConfigs(this.store, topic, configs)
  }

  #changed(events: readonly { readonly type: string; readonly key: string; readonly value: string }[]): void {
    for (const { type, key, value } of events) {
      if (!key.startsWith(partitionPrefix)) continue
      const name = key.slice(partitionPrefix.length)
      if (type === 'put') this.partitions.set(name, parsePartition(value))
      else this.partitions.delete(name)
    }
  }
}
