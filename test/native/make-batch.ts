/** Record batches for these tests, put together by plain number pushing so that they owe nothing to the code under test. */

/** A signed number as a zig-zag varint. */
export function zigzag(value: number): number[] {
  const bytes: number[] = []
  let raw = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  for (; raw >= 0x80n; raw >>= 7n) bytes.push(Number(raw & 0x7fn) | 0x80)
  bytes.push(Number(raw))
  return bytes
}

export interface RecordParts {
  readonly offsetDelta: number
  readonly timestampDelta?: number
  readonly key?: readonly number[] | null
  readonly value?: readonly number[] | null
  readonly headers?: readonly (readonly [readonly number[], readonly number[] | null])[]
}

/** One record with its length in front. */
export function makeRecord(parts: RecordParts): number[] {
  const field = (bytes: readonly number[] | null | undefined): number[] =>
    bytes ? [...zigzag(bytes.length), ...bytes] : zigzag(-1)
  const headers = parts.headers ?? []
  const body = [0, ...zigzag(parts.timestampDelta ?? 0), ...zigzag(parts.offsetDelta)]
  body.push(...field(parts.key), ...field(parts.value), ...zigzag(headers.length))
  for (const [key, value] of headers) body.push(...field(key), ...field(value))
  return [...zigzag(body.length), ...body]
}

export interface BatchParts {
  readonly records: readonly number[]
  readonly count: number
  readonly lastOffsetDelta?: number
  readonly attributes?: number
  readonly magic?: number
  readonly length?: number
}

/** A batch around `records`, with its CRC by the bit-by-bit definition. */
export function makeBatch(parts: BatchParts): Uint8Array {
  const bytes = new Uint8Array(61 + parts.records.length)
  const view = new DataView(bytes.buffer)
  view.setBigInt64(0, 7n)
  view.setInt32(8, parts.length ?? bytes.length - 12)
  view.setInt32(12, -1)
  view.setInt8(16, parts.magic ?? 2)
  view.setInt16(21, parts.attributes ?? 0)
  view.setInt32(23, parts.lastOffsetDelta ?? parts.count - 1)
  view.setBigInt64(27, 1_700_000_000_000n)
  view.setBigInt64(35, 1_700_000_000_000n)
  view.setBigInt64(43, -1n)
  view.setInt16(51, -1)
  view.setInt32(53, -1)
  view.setInt32(57, parts.count)
  bytes.set(parts.records, 61)
  return seal(bytes)
}

/** Writes the right CRC into a batch, in place. */
export function seal(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(17, crcByDefinition(bytes.subarray(21)))
  return bytes
}

/** CRC-32C, a bit at a time. */
export function crcByDefinition(bytes: Uint8Array): number {
  let state = 0xffffffff
  for (const byte of bytes) {
    state ^= byte
    for (let bit = 0; bit < 8; bit++) state = (state >>> 1) ^ (state & 1 ? 0x82f63b78 : 0)
  }
  return ~state >>> 0
}

/** A batch of `count` records with values of `valueBytes`. */
export function makePlainBatch(count: number, valueBytes: number): Uint8Array {
  const records: number[] = []
  const value = Array.from({ length: valueBytes }, (_, i) => (i * 31) & 0xff)
  for (let offsetDelta = 0; offsetDelta < count; offsetDelta++) {
    for (const byte of makeRecord({ offsetDelta, timestampDelta: offsetDelta >> 3, value })) records.push(byte)
  }
  return makeBatch({ records, count })
}
