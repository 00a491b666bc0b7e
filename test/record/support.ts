/** Batches for the tests of this room, and bytes that Apache Kafka's own classes made. */
import { BatchWriter, type RecordHeader } from '../../src/record/index.ts'

export interface PlainRecord {
  timestamp: number
  key: Uint8Array | null
  value: Uint8Array | null
  headers: RecordHeader[]
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
export const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))

export const noProducer = { producerId: -1, producerEpoch: -1, baseSequence: -1 }

export function encode(records: readonly PlainRecord[], producer = noProducer): Uint8Array {
  const room =
    61 + records.reduce((sum, { key, value, headers }) => sum + BatchWriter.recordSizeMax(key, value, headers), 0)
  const writer = new BatchWriter(new Uint8Array(room))
  for (const { timestamp, key, value, headers } of records) {
    if (!writer.append(timestamp, key, value, headers)) throw new Error('recordSizeMax is not an upper bound')
  }
  return writer.finish(producer)
}
