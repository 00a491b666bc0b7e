/**
 * What LinkedIn published in April 2014, "Benchmarking Apache Kafka: 2 Million Writes Per Second (On Three Cheap
 * Machines)", and the settings it was measured with.
 */
export interface Published {
  readonly id: string
  readonly title: string
  /** Ids of our tests for it, the first that there is counts. */
  readonly ours: readonly string[]
  readonly recordsPerSecond: number | null
  readonly mebibytesPerSecond: number | null
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number } | null
  readonly note: string | null
}

export const HARDWARE_2014 =
  'three brokers, each a 6-core Xeon of 2.5 GHz, six SATA disks of 7200 rpm, 32 GB, 1 Gbit Ethernet; the load from three more such machines'

const rate = (recordsPerSecond: number, mebibytesPerSecond: number) => ({
  recordsPerSecond,
  mebibytesPerSecond,
  latencyMs: null,
  note: null,
})

export const published: readonly Published[] = [
  { id: 'single-producer', title: 'One producer, no replication', ours: ['single-producer'], ...rate(821_557, 78.3) },
  {
    id: 'single-producer-3x-async',
    title: 'One producer, three replicas, acks=1',
    ours: ['single-producer-3x-async'],
    ...rate(786_980, 75.1),
  },
  {
    id: 'single-producer-3x-sync',
    title: 'One producer, three replicas, acks=all',
    ours: ['single-producer-3x-sync'],
    ...rate(421_823, 40.2),
  },
  {
    id: 'three-producers-3x-async',
    title: 'Three producers, three replicas, acks=1',
    ours: ['three-producers-3x-async'],
    ...rate(2_024_032, 193),
  },
  {
    id: 'throughput-vs-stored',
    title: 'One producer while stored data grow past memory',
    ours: ['throughput-vs-stored'],
    recordsPerSecond: null,
    mebibytesPerSecond: null,
    latencyMs: null,
    note: 'flat to 1 TB',
  },
  { id: 'single-consumer', title: 'One consumer', ours: ['single-consumer'], ...rate(940_521, 89.7) },
  {
    id: 'three-consumers',
    title: 'Three consumers, each reading all',
    ours: ['three-consumers'],
    ...rate(2_615_968, 249.5),
  },
  {
    id: 'producer-and-consumer',
    title: 'Producer and consumer at once, three replicas',
    ours: ['producer-and-consumer-3x', 'producer-and-consumer-1x'],
    ...rate(795_064, 75.8),
  },
  {
    id: 'message-size',
    title: 'One producer by size of the record',
    ours: ['message-size'],
    recordsPerSecond: null,
    mebibytesPerSecond: null,
    latencyMs: null,
    note: 'a curve: records a second fall, bytes a second rise with the size',
  },
  {
    id: 'end-to-end',
    title: 'End to end, one record at a time',
    ours: ['end-to-end-3x', 'end-to-end-1x'],
    recordsPerSecond: null,
    mebibytesPerSecond: null,
    latencyMs: { p50: 2, p99: 3, p999: 14 },
    note: null,
  },
]

export const MESSAGE_SIZES = [10, 100, 1_000, 10_000, 100_000] as const

export interface Column {
  readonly name: '2014' | 'today'
  readonly batchBytes: number
  /** The test that waits for all replicas had another batch in 2014. */
  readonly syncBatchBytes: number
  readonly lingerMs: number
}

export const columns: readonly Column[] = [
  { name: '2014', batchBytes: 8_196, syncBatchBytes: 64_000, lingerMs: 0 },
  { name: 'today', batchBytes: 65_536, syncBatchBytes: 65_536, lingerMs: 5 },
]
