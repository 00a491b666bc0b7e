/** Three brokers whose partitions are written all the time, while brokers come and go. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin, type TopicInfo } from '../../../src/client/index.ts'
import { PagelogCluster } from '../../targets/pagelog-cluster.ts'
import type { GoalContext } from '../goal.ts'
import { PacedWriters } from './paced-writers.ts'

export interface WrittenOptions {
  readonly partitions: number
  readonly pauseMs: number
  readonly hidesDeaths: boolean
  readonly overrides: Readonly<Record<string, string>>
}

const BROKERS = 3
const TOPIC = 'written'
const LOOK_MS = 25
const WHOLE_MS_MAX = 60_000

export class WrittenCluster {
  readonly cluster: PagelogCluster
  readonly writers: PacedWriters
  readonly partitions: number
  readonly #admin: Admin
  readonly #signal: AbortSignal

  private constructor(cluster: PagelogCluster, admin: Admin, signal: AbortSignal, options: WrittenOptions) {
    this.cluster = cluster
    this.#admin = admin
    this.#signal = signal
    this.partitions = options.partitions
    this.writers = new PacedWriters(cluster.target.bootstrap, TOPIC, options.partitions, options.pauseMs)
  }

  static async start({ scratch, signal }: GoalContext, options: WrittenOptions): Promise<WrittenCluster> {
    const cluster = await PagelogCluster.start({
      directory: scratch.directory('cluster'),
      brokers: BROKERS,
      hidesDeaths: options.hidesDeaths,
      overrides: options.overrides,
      onStart: (pid) => scratch.remember(pid),
      signal,
    })
    const admin = new Admin({ bootstrap: cluster.target.bootstrap })
    try {
      await admin.createTopics([{ topic: TOPIC, partitions: options.partitions, replicationFactor: BROKERS }])
      return new WrittenCluster(cluster, admin, signal, options)
    } catch (error) {
      await admin.close()
      await cluster.stop()
      throw error
    }
  }

  /** Waits until every partition is led and all its replicas are in sync. */
  async whole(): Promise<TopicInfo> {
    const end = performance.now() + WHOLE_MS_MAX
    for (;;) {
      const [topic] = await this.#admin.describeTopics([TOPIC])
      if (topic!.partitions.every(({ leaderId, isr }) => leaderId > 0 && isr.length === BROKERS)) return topic!
      if (performance.now() > end) throw new Error(`the cluster is not whole again after ${WHOLE_MS_MAX} ms`)
      await this.pause(LOOK_MS)
    }
  }

  /** Waits until these partitions are written, from that moment on and in the last `steadyMs`. */
  async written(partitions: readonly number[], sinceMs: number, steadyMs: number, limitMs: number): Promise<void> {
    const end = performance.now() + limitMs
    while (!this.writers.haveWrittenSince(partitions, Math.max(sinceMs, performance.now() - steadyMs))) {
      if (performance.now() > end) throw new Error(`partitions cannot be written ${limitMs} ms after a broker ended`)
      await this.pause(LOOK_MS)
    }
  }

  async pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#signal })
  }

  async close(): Promise<void> {
    await Promise.all([this.writers.stop(), this.#admin.close()])
    await this.cluster.stop()
  }
}

/** The broker that leads most of these partitions, and which. */
export function busiestLeader({ partitions }: TopicInfo): { readonly id: number; readonly leads: readonly number[] } {
  const led = new Map<number, number[]>()
  for (const { partition, leaderId } of partitions) led.set(leaderId, [...(led.get(leaderId) ?? []), partition])
  const [id, leads] = [...led].sort((a, b) => b[1].length - a[1].length)[0]!
  return { id, leads }
}
