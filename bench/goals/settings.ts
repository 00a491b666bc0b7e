/** The settings of benchmarks §3, the same in every part. */
import { POOL_BYTES } from '../drivers/payloads.ts'
import type { BenchSettings, TestId } from '../result.ts'

export function goalSettings(test: TestId, runs: number, against: string | null): BenchSettings {
  return {
    tests: [test],
    valueBytes: 100,
    records: 10_000_000,
    seconds: 10,
    warmUpSeconds: 2.5,
    latencyRecords: 20_000,
    batchBytes: 65_536,
    lingerMs: 5,
    acks: 1,
    partitions: 6,
    runs,
    against,
    payloadSeed: 1,
    payloadPoolBytes: POOL_BYTES,
    targets: {},
  }
}
