/** What a benchmark runs against: one broker in a process of its own, in a new directory. */
import type { LoopDelay } from '../result.ts'

export interface Target {
  readonly name: 'pagelog' | 'kafka'
  readonly bootstrap: string
  readonly pid: number
  /** The log directory; its size on disk belongs to a result. */
  readonly dataDirectory: string
  /** Settings that differ from the defaults. */
  readonly settings: Readonly<Record<string, string>>
  /** Starts the broker's own measuring anew, as the measured phase begins. */
  resetMetrics(): Promise<void>
  /** Event-loop delay since the reset; undefined for a target that has none. */
  loopDelay(): Promise<LoopDelay | undefined>
  /** Rejects when the process dies by itself. */
  readonly failure: Promise<never>
  close(): Promise<void>
}

export interface TargetOptions {
  /** An empty directory for the data and the log of the process. */
  readonly directory: string
  readonly partitions: number
  /** Told the process id as soon as there is one. */
  readonly onStart?: (pid: number) => void
  /** Extra flags for node (`--cpu-prof`) or the JVM. */
  readonly runtimeFlags?: readonly string[]
  readonly overrides?: Readonly<Record<string, string>>
}
