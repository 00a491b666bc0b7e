/** What a benchmark runs against: brokers, each in a process of its own, in new directories. */
import type { LoopDelay } from '../result.ts'

export interface BrokerProcess {
  readonly pid: number
  /** The log directory; its size on disk belongs to a result. */
  readonly dataDirectory: string
}

export interface AnyTarget {
  readonly name: 'pagelog' | 'kafka' | 'hosts'
  readonly bootstrap: string
  /** Of the first broker, the only one if there is one; null where it is not ours to see. */
  readonly dataDirectory: string | null
  /** All that are ours. */
  readonly brokers: readonly BrokerProcess[]
  /** Where topics must not be left behind: those that were made and not deleted. */
  readonly topics?: Set<string>
  /** Settings that differ from the defaults. */
  readonly settings: Readonly<Record<string, string>>
  /** Starts the brokers' own measuring anew, as the measured phase begins. */
  resetMetrics(): Promise<void>
  /** Event-loop delay of each broker since the reset; undefined for one that has none. */
  loopDelays(): Promise<readonly (LoopDelay | undefined)[]>
  /** Rejects when a broker dies by itself. */
  readonly failure: Promise<never>
  close(): Promise<void>
}

/** Brokers that we started. */
export interface Target extends AnyTarget {
  readonly name: 'pagelog' | 'kafka'
  /** Of the first broker. */
  readonly pid: number
  readonly dataDirectory: string
}

export function isStartedHere(target: AnyTarget): target is Target {
  return target.dataDirectory !== null
}

export interface TargetOptions {
  /** An empty directory for the data and the log of the process. */
  readonly directory: string
  readonly partitions: number
  /** How many brokers; topics are made with as many replicas where they are to have several. Default 1. */
  readonly brokers?: number
  /** Told the process id as soon as there is one. */
  readonly onStart?: (pid: number) => void
  /** Extra flags for node (`--cpu-prof`) or the JVM. */
  readonly runtimeFlags?: readonly string[]
  readonly overrides?: Readonly<Record<string, string>>
}
