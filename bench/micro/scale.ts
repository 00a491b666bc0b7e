/** How much a micro-benchmark does. `full` is what is published, `quick` for orientation, `tiny` for the tests. */
export interface Scale {
  readonly name: 'full' | 'quick' | 'tiny'
  /** tinybench's budget of the measured phase and of the warm-up. */
  readonly timeMs: number
  readonly warmUpMs: number
  /** Calls at least in the measured phase. */
  readonly callsMin: number
  /** Distinct random values and batches to write. */
  readonly poolBytes: number
  /** A store that took so much is begun anew (not timed): the page cache's memory is used again and stays warm. */
  readonly renewBytes: number
  /** Appends of each writer between two looks at the clock. */
  readonly appendsPerCall: number
  /** A benchmark of more writers has so many. */
  readonly writersMax: number
  /** The log that reads, look-ups and opens work on. */
  readonly logBytes: number
  /** Records in the stores of peers that are read. */
  readonly storeRecords: number
  readonly randomReads: number
  readonly tailRecords: number
  readonly partitions: number
  readonly openRuns: number
  readonly compactionBytes: number
}

const MEBIBYTE = 1 << 20

export const scales: Readonly<Record<Scale['name'], Scale>> = {
  full: {
    name: 'full',
    timeMs: 1_500,
    warmUpMs: 300,
    callsMin: 5,
    poolBytes: 64 * MEBIBYTE,
    renewBytes: 512 * MEBIBYTE,
    appendsPerCall: 16,
    writersMax: 256,
    logBytes: 1024 * MEBIBYTE,
    storeRecords: 1_000_000,
    randomReads: 50_000,
    tailRecords: 20_000,
    partitions: 10_000,
    openRuns: 5,
    compactionBytes: 512 * MEBIBYTE,
  },
  quick: {
    name: 'quick',
    timeMs: 300,
    warmUpMs: 100,
    callsMin: 3,
    poolBytes: 16 * MEBIBYTE,
    renewBytes: 256 * MEBIBYTE,
    appendsPerCall: 8,
    writersMax: 256,
    logBytes: 128 * MEBIBYTE,
    storeRecords: 100_000,
    randomReads: 5_000,
    tailRecords: 2_000,
    partitions: 500,
    openRuns: 3,
    compactionBytes: 64 * MEBIBYTE,
  },
  tiny: {
    name: 'tiny',
    timeMs: 1,
    warmUpMs: 0,
    callsMin: 1,
    poolBytes: MEBIBYTE / 2,
    renewBytes: 2 * MEBIBYTE,
    appendsPerCall: 1,
    writersMax: 16,
    logBytes: 3 * MEBIBYTE,
    storeRecords: 1_000,
    randomReads: 50,
    tailRecords: 20,
    partitions: 3,
    openRuns: 1,
    compactionBytes: 3 * MEBIBYTE,
  },
}
