/**
 * A place that records are appended to, one adapter per library: the same records, in the same order, with the same
 * promise of durability. Keys, where a library needs one, are the record's number: 8 bytes, big-endian, rising.
 *
 *   os     answered when the kernel has the bytes: a crash of the process loses nothing
 *   fsync  answered when the device has them
 *
 * Each adapter makes what its library's documentation advises a program to make per call, and nothing twice.
 */
import type { Values } from '../records.ts'

export type Durability = 'os' | 'fsync'

export interface Store {
  /** The next `count` values of the pool as one append; resolves when they are as durable as asked. */
  append(count: number): Promise<unknown>
  close(): Promise<void>
}

export interface StoreOptions {
  /** Exists and is empty, or holds what the same adapter wrote. */
  readonly directory: string
  readonly durability: Durability
  readonly values: Values
  readonly peers: string | undefined
}

export type OpenStore = (options: StoreOptions) => Promise<Store>

/** Keys of 8 bytes, big-endian: in the order of their numbers for a store that compares bytes. */
export function keyOf(n: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeUInt32BE(Math.floor(n / 0x1_0000_0000), 0)
  key.writeUInt32BE(n >>> 0, 4)
  return key
}
