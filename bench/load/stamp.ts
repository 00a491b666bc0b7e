/**
 * What is written over the beginning of a value so that its reader can tell which record it is, whether it is whole, and
 * when it was meant to be sent:
 *
 *   u32 CRC-32C of all that follows · u16 producer · u48 number, from 0 · f64 intended time, ms of this machine's
 *   monotonic clock (one for all its processes) · the rest of the value
 */
import { crc32c } from '../../src/native/index.ts'

export const STAMP_BYTES = 20
const BODY_AT = 4

export interface Stamp {
  readonly producer: number
  readonly number: number
  readonly intendedMs: number
}

/** Add to `performance.now()`: milliseconds of CLOCK_MONOTONIC, which all processes of a machine share. */
export function monotonicOffsetMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6 - performance.now()
}

export class Stamper {
  readonly #producer: number
  #room = new Uint8Array(0)
  #view = new DataView(this.#room.buffer)
  #number = 0

  constructor(producer: number) {
    this.#producer = producer
  }

  /** Records stamped so far. */
  get count(): number {
    return this.#number
  }

  /** A copy of the value with the next stamp: valid until the next call. */
  stamp(value: Uint8Array, intendedMs: number): Uint8Array {
    if (value.length > this.#room.length) {
      this.#room = new Uint8Array(value.length)
      this.#view = new DataView(this.#room.buffer)
    }
    const stamped = this.#room.subarray(0, value.length)
    stamped.set(value)
    const view = this.#view
    const number = this.#number++
    view.setUint16(4, this.#producer)
    view.setUint16(6, Math.floor(number / 0x1_0000_0000))
    view.setUint32(8, number >>> 0)
    view.setFloat64(12, intendedMs)
    view.setUint32(0, crc32c(this.#room, BODY_AT, value.length))
    return stamped
  }
}

/** undefined: these are not the bytes that were sent. */
export function readStamp(bytes: Uint8Array, start: number, length: number): Stamp | undefined {
  if (length < STAMP_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, STAMP_BYTES)
  if (view.getUint32(0) !== crc32c(bytes, start + BODY_AT, start + length) >>> 0) return undefined
  return {
    producer: view.getUint16(4),
    number: view.getUint16(6) * 0x1_0000_0000 + view.getUint32(8),
    intendedMs: view.getFloat64(12),
  }
}
