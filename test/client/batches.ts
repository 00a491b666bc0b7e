/** Record batches for tests, as a producer would have made them. */
import { BatchWriter, type Compression, RecordBatch } from '../../src/record/index.ts'

export interface BatchOptions {
  readonly timestamp?: number
  readonly producerId?: number
  readonly transactional?: boolean
}

export function batchWith(values: readonly string[], options: BatchOptions = {}): Uint8Array {
  const { timestamp = 1_000, producerId = -1, transactional = false } = options
  const writer = new BatchWriter(new Uint8Array(100_000))
  for (const value of values) writer.append(timestamp, null, new TextEncoder().encode(value))
  const epoch = producerId < 0 ? -1 : 0
  // The sequence is beside the point: without one the fake broker takes it as it is.
  const bytes = writer.finish({ producerId, producerEpoch: epoch, baseSequence: epoch, transactional })
  return bytes.slice()
}

/** The end of a transaction, as a coordinator writes it. */
export function markerBatch(producerId: number, type: 'abort' | 'commit'): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(200))
  writer.append(1_000, new Uint8Array([0, 0, 0, type === 'abort' ? 0 : 1]), new Uint8Array(6))
  const bytes = writer.finish({ producerId, producerEpoch: 0, baseSequence: -1, transactional: true }).slice()
  return withAttributes(bytes, 0x30)
}

/** Says that the records are compressed, which they are not. */
export function compressedBatch(codec: Compression): Uint8Array {
  return withAttributes(batchWith(['x']), codec)
}

function withAttributes(bytes: Uint8Array, attributes: number): Uint8Array {
  bytes[22] = attributes
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  view.setUint32(17, crcOf(bytes))
  if (!new RecordBatch(bytes, 0).isValid()) throw new Error('the test made a batch that is not valid')
  return bytes
}

function crcOf(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes.subarray(21)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

export type { Compression }
