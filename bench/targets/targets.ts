/**
 * The targets of a run, each started when it is first asked for. It lives on for the tests after that, as long as they want as many
 * brokers: one that has been driven for a while is warm, and a start costs time. What a test stores it takes away itself.
 */
import { rmSync } from 'node:fs'
import type { Scratch } from '../process/scratch.ts'
import type { TargetName } from '../result.ts'
import { hostsTarget } from './hosts.ts'
import { startKafka } from './kafka.ts'
import { startPagelog } from './pagelog.ts'
import type { AnyTarget, TargetOptions } from './target.ts'

export interface TargetsOptions {
  readonly partitions: number
  /** Addresses of the target `hosts`. */
  readonly hosts?: string
  readonly scratch: Scratch
  readonly signal: AbortSignal
  /** Called as soon as a broker has a process. */
  readonly onBroker?: (pid: number) => void
}

interface Living {
  readonly target: AnyTarget
  readonly count: number
  readonly directory: string | undefined
  /** A broker died by itself. */
  hasFailed: boolean
}

export class Targets {
  readonly #options: TargetsOptions
  readonly #living = new Map<TargetName, Living>()

  constructor(options: TargetsOptions) {
    this.#options = options
  }

  /** One with so many brokers. Rejects when it cannot be started. */
  async take(name: TargetName, brokers: number): Promise<AnyTarget> {
    const known = this.#living.get(name)
    if (known !== undefined && known.count === brokers && !known.hasFailed) return known.target
    if (known !== undefined) await this.#end(name, known)
    const directory = name === 'hosts' ? undefined : this.#options.scratch.directory(name)
    try {
      const target = await this.#start(name, brokers, directory)
      const living: Living = { target, count: brokers, directory, hasFailed: false }
      target.failure.catch(() => {
        living.hasFailed = true
      })
      this.#living.set(name, living)
      return target
    } catch (error) {
      remove(directory)
      throw error
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#living].map(([name, living]) => this.#end(name, living)))
  }

  async #end(name: TargetName, { target, directory }: Living): Promise<void> {
    this.#living.delete(name)
    try {
      await target.close()
    } finally {
      remove(directory)
    }
  }

  async #start(name: TargetName, brokers: number, directory: string | undefined): Promise<AnyTarget> {
    const { hosts, scratch, partitions, signal, onBroker } = this.#options
    if (directory === undefined) return hostsTarget(hosts!)
    const options: TargetOptions & { signal: AbortSignal } = {
      ...{ directory, partitions, brokers, signal },
      onStart: (pid) => {
        scratch.remember(pid)
        onBroker?.(pid)
      },
    }
    return await (name === 'kafka' ? startKafka(options) : startPagelog(options))
  }
}

/** Of brokers that have ended: what comes next may need the room, and nobody should wait for the write-back of what is over. */
function remove(directory: string | undefined): void {
  if (directory !== undefined) rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}
