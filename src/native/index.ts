/**
 * native: the addon behind plain functions. CRC-32C and the batch check work everywhere, by plain JavaScript where the
 * addon is missing or `PAGELOG_NATIVE=0` is set; `fileCalls` exists only with the addon on Linux and is for env/node
 * alone. Check what is loaded with `nativeAvailable`.
 */
import { loadAddon } from './addon.ts'
import { checkBatch as checkBatchPlain, checkBatchStored as checkBatchStoredPlain } from './check-batch.ts'
import { crc32c as crc32cPlain } from './crc32c.ts'
import type { FileCalls } from './file-calls.ts'

const { addon, reason } = loadAddon()

/** Whether the addon is in use. */
export const nativeAvailable: boolean = addon !== undefined
/** Why it is not: one line for the log. */
export const nativeMissingReason: string | undefined = reason

/**
 * CRC-32C of `bytes` from `start` to `end`, unsigned; `seed` is the result so far, to go on from. Throws TypeError or
 * RangeError for arguments that are none.
 */
export const crc32c: (bytes: Uint8Array, start?: number, end?: number, seed?: number) => number =
  addon?.crc32c ?? crc32cPlain

/**
 * Structure and CRC of the one v2 batch at `position`, of which the bytes up to `end` are there: its whole size, or a
 * negative `BatchFault`. All that a client's append must satisfy; the records of a compressed or control batch are not
 * looked at. Throws TypeError or RangeError for arguments that are none.
 */
export const checkBatch: (bytes: Uint8Array, position: number, end: number) => number =
  addon?.checkBatch ?? checkBatchPlain

/** The same for a batch as it may lie in a log: compaction leaves gaps and empty batches, so records are not walked. */
export const checkBatchStored: (bytes: Uint8Array, position: number, end: number) => number =
  addon?.checkBatchStored ?? checkBatchStoredPlain

/** System calls on descriptors; undefined without the addon. */
export const fileCalls: FileCalls | undefined = addon?.fileCalls

export { packageRoot } from './addon.ts'
export { BatchFault } from './batch-fault.ts'
export type { FileCalls } from './file-calls.ts'
