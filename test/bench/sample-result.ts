/** A result with every kind of field in it, for tests of the schema and the report. */
import type { TestOutcome } from '../../bench/harness.ts'
import { type BenchResult, type BenchSettings, type RunResult, SCHEMA_VERSION } from '../../bench/result.ts'
import { limitOf, ratiosOf, resultsOf } from '../../bench/summary.ts'

export const settings: BenchSettings = {
  tests: ['single-producer', 'end-to-end-1x'],
  valueBytes: 100,
  records: 1000,
  seconds: 1,
  warmUpSeconds: 0.5,
  latencyRecords: 100,
  batchBytes: 65_536,
  lingerMs: 5,
  acks: 1,
  partitions: 6,
  runs: 3,
  against: 'kafka',
  payloadSeed: 1,
  payloadPoolBytes: 1024,
  targets: { pagelog: { 'num.partitions': '6' } },
}

export function sampleRun(recordsPerSecond: number, latencyMs: number): RunResult {
  const latency = {
    count: 10,
    mean: latencyMs,
    p50: latencyMs,
    p90: latencyMs * 2,
    p99: latencyMs * 3,
    p999: latencyMs * 4,
    p9999: latencyMs * 5,
    max: latencyMs * 6,
  }
  return {
    recordsPerSecond,
    records: 1000,
    seconds: 1000 / recordsPerSecond,
    latencyMs: latency,
    serviceTimeMs: latency,
    series: [
      { atSeconds: 0.25, recordsPerSecond },
      { atSeconds: 0.5, recordsPerSecond: recordsPerSecond * 1.1 },
    ],
    processes: [
      {
        role: 'broker',
        cpuSeconds: 1,
        rss: 100 * 1024 * 1024,
        eventLoopDelayMs: { p50: 0.1, p99: 1, max: 3, cpuPerTurnP99: 0.5 },
        busiestThread: 0.95,
      },
      { role: 'producer', cpuSeconds: null, rss: null, eventLoopDelayMs: null, busiestThread: null },
    ],
    errors: 0,
    retries: 0,
    verified: true,
    storedBytesPerRecord: 110,
    warmUpSeconds: 0.5,
    writeBackQuiet: true,
    replication: null,
  }
}

const own = { target: 'pagelog', driver: 'pagelog-client' } as const
const kafka = { target: 'kafka', driver: 'kafka-tools' } as const

export const outcomes: readonly TestOutcome[] = [
  {
    test: 'single-producer',
    probe: 'produce',
    bytesPerRecord: 110,
    throughput: [11e8, 12e8, 10e8],
    echo: [],
    variants: [
      { variant: own, runs: [sampleRun(6e6, 10), { error: 'broker <gone>\nwith a second line' }, sampleRun(5e6, 12)] },
      { variant: kafka, runs: [sampleRun(1e6, 100), sampleRun(0.9e6, 90), sampleRun(1.25e6, 80)] },
    ],
  },
  {
    test: 'end-to-end-1x',
    probe: 'echo',
    bytesPerRecord: 110,
    throughput: [],
    echo: [{ p50Ms: 0.05, p99Ms: 0.1 }],
    variants: [
      { variant: own, runs: [sampleRun(5000, 0.2)] },
      { variant: kafka, runs: [sampleRun(1200, 0.8)] },
    ],
  },
]

export const result: BenchResult = {
  schemaVersion: SCHEMA_VERSION,
  version: '0.1.0',
  startedAt: '2026-11-21T12:00:00.000Z',
  finishedAt: '2026-11-21T12:02:00.000Z',
  complete: false,
  orientation: false,
  command: 'pagelog bench --against kafka',
  commit: 'abcdef123456',
  machine: {
    cpu: 'a <processor>',
    cores: 2,
    memoryBytes: 2 ** 34,
    architecture: 'x64',
    kernel: 'linux 6',
    fileSystem: 'ext4',
    freeBytes: 2 ** 35,
    node: 'v20',
    java: null,
    openFiles: '1024',
    governor: null,
  },
  settings,
  limits: outcomes.map(limitOf).filter((limit) => limit !== undefined),
  results: outcomes.flatMap((outcome) => resultsOf(outcome, settings)),
  ratios: outcomes.flatMap(ratiosOf),
  failures: [{ test: 'single-producer', target: 'pagelog', error: 'broker <gone>' }],
}
