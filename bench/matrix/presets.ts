/** Workloads that are ready-made: what acks, batching, compression, partitions and fsync cost. */
import { UsageError } from '../options.ts'

export const presets: Readonly<Record<string, string>> = {
  acks: `
name: what acknowledgements cost
matrix:
  acks: [0, 1, all]
  idempotence: [false, true]
  inFlight: [1, 5]
  recordBytes: [100, 1000]
`,
  batching: `
name: what batching gains
matrix:
  batchBytes: [1024, 8196, 16384, 65536, 262144]
  lingerMs: [0, 5, 20]
`,
  compression: `
name: what compression gains and costs
matrix:
  compression: [none, gzip, snappy, lz4]
  batchBytes: [16384, 65536, 262144]
load:
  values: json
`,
  partitions: `
name: what partitions cost
matrix:
  partitions: [1, 6, 30, 100, 500]
  batchBytes: [16384, 65536]
`,
  fsync: `
name: what fsync costs
matrix:
  fsync: [os, always]
  batchBytes: [16384, 65536, 262144]
  acks: [1, all]
`,
}

export function presetText(name: string): string {
  const text = presets[name]
  if (text === undefined) throw new UsageError(`${name}: no file, and none of ${Object.keys(presets).join(', ')}`)
  return text
}
