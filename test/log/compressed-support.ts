/** Damage in compressed batches that no CRC gives away. */
import { ATTRIBUTES_AT, crc32c, setCrc } from '../../src/record/index.ts'

/** The batch with another byte at `at`, and the CRC of that. */
export function changedCrc(batch: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(batch)
  copy[at] = copy[at]! ^ 0xff
  setCrc(copy, 0, crc32c(copy, ATTRIBUTES_AT, copy.length))
  return copy
}
