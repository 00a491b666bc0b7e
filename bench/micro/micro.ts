/**
 * What a micro-benchmark is: one operation of the log, done by one or more *subjects*: pagelog, and what a Node program
 * would use instead. Every subject of every benchmark runs in a process of its own (fresh heap, nothing compiled for
 * another's shapes), chosen by name; the tests run the same functions with the `tiny` scale in their own process.
 */
import type { LatencySummary } from '../measure/latency.ts'
import type { Scale } from './scale.ts'

export interface MicroContext {
  /** Empty and the run's own; whoever made it removes it. */
  readonly directory: string
  readonly scale: Scale
  /** Where classic-level and lmdb are installed (bench/peers/stores.ts); undefined without peers. */
  readonly peers: string | undefined
}

export interface MicroOutcome {
  /** Of `unit`: rates are better when larger, `ms` when smaller. */
  readonly value: number
  readonly unit: 'rec/s' | 'op/s' | 'MiB/s' | 'ms'
  /** What tinybench saw: calls, and the relative margin of error of their mean in percent; null for one long operation. */
  readonly calls: number
  readonly marginPercent: number | null
  readonly mebibytesPerSecond: number | null
  /** Of one operation as its caller sees it; null where calls are too short to be timed one by one. */
  readonly latencyMs: LatencySummary | null
  /** Further figures by name, its unit last (`rssMiB`). */
  readonly details: Readonly<Record<string, number>>
}

export type Subject = (context: MicroContext) => Promise<MicroOutcome>

export interface Micro {
  /** Dots between its parts, so that a prefix names a group: `append.100.os.16`. */
  readonly name: string
  readonly title: string
  /** By name; pagelog's own first. Those of `peerSubjects` need the peers. */
  readonly subjects: Readonly<Record<string, Subject>>
}

/** Subjects that need packages of bench/peers/stores. */
export const needsPeers = (subject: string): boolean => /^(?:classic-level|lmdb)/.test(subject)

/** The benchmarks whose name begins with one of `prefixes` at a dot; all without any. Undefined: one matches nothing. */
export function chooseMicros(all: readonly Micro[], prefixes: readonly string[]): readonly Micro[] | undefined {
  if (prefixes.length === 0) return all
  const matches = (micro: Micro, prefix: string) => micro.name === prefix || micro.name.startsWith(`${prefix}.`)
  if (prefixes.some((prefix) => !all.some((micro) => matches(micro, prefix)))) return undefined
  return all.filter((micro) => prefixes.some((prefix) => matches(micro, prefix)))
}
