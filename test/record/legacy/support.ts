/** Writes messages of formats 0 and 1, as tests need them: also such as nobody should have written. */
import { crc32 } from 'node:zlib'
import { concat } from '../compression/support.ts'

export interface OldMessage {
  readonly offset: number
  /** Format 1 only. */
  readonly timestamp?: number
  readonly key?: Uint8Array | null
  readonly value?: Uint8Array | null
  readonly codec?: number
  readonly isLogAppendTime?: boolean
}

const big = (value: number, length: 4 | 8): Uint8Array => {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  if (length === 8) view.setBigInt64(0, BigInt(value))
  else view.setUint32(0, value >>> 0)
  return bytes
}

const field = (bytes: Uint8Array | null): Uint8Array =>
  bytes === null ? big(-1, 4) : concat(big(bytes.length, 4), bytes)

export function message(magic: number, given: OldMessage): Uint8Array {
  const { offset, timestamp = -1, key = null, value = null, codec = 0, isLogAppendTime = false } = given
  const attributes = codec | (isLogAppendTime ? 8 : 0)
  const time = magic === 1 ? big(timestamp, 8) : new Uint8Array(0)
  const body = concat([magic, attributes], time, field(key), field(value))
  return concat(big(offset, 8), big(body.length + 4, 4), big(crc32(body), 4), body)
}

export const messages = (magic: number, given: readonly OldMessage[]): Uint8Array =>
  concat(...given.map((one) => message(magic, one)))
