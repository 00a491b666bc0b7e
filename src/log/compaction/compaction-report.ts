/** What compactions of a log have done. */
export interface CompactionCounts {
  /** Fillings of the map of keys. */
  passes: number
  /** First pass over the dirty part: bytes, records, different keys. */
  bytesMapped: number
  recordsMapped: number
  keys: number
  /** Second pass, from the start of the log on. */
  bytesRead: number
  bytesWritten: number
  recordsRead: number
  recordsKept: number
  /** Past their delete horizon. */
  tombstonesDropped: number
  /** Records without a key, of the time before the log was compacted. */
  keylessDropped: number
  /** Records of aborted transactions. */
  abortedDropped: number
  /** Compressed batches that could not be opened: kept whole, their keys not being known. */
  compressedBatches: number
}

export interface CompactionReport extends CompactionCounts {
  /** Exclusive: before it no two records have the same key. */
  readonly firstDirtyOffset: number
  /** Bytes of the segments that could be compacted, before and after. */
  readonly sizeBefore: number
  readonly sizeAfter: number
  readonly durationMs: number
}

export function noCounts(): CompactionCounts {
  return {
    passes: 0,
    bytesMapped: 0,
    recordsMapped: 0,
    keys: 0,
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsKept: 0,
    tombstonesDropped: 0,
    keylessDropped: 0,
    abortedDropped: 0,
    compressedBatches: 0,
  }
}
