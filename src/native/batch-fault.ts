/** Why a batch is refused; `checkBatch` returns one of these instead of a size. The numbers are those of native/batch_check.h. */
export const BatchFault = {
  /** It runs past the end of the bytes that are there. */
  INCOMPLETE: -1,
  /** Its length cannot be one: less than a header, or negative. */
  SIZE: -2,
  /** Not format v2. */
  MAGIC: -3,
  CRC: -4,
  /** Record count and last offset delta contradict each other or are negative. */
  COUNT: -5,
  /** The records do not fill the batch exactly, or their offset deltas are not 0, 1, 2 … */
  RECORDS: -6,
} as const
