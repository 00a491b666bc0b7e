/** Batches of transactions and the markers that end them, as a broker appends them. */
import { ATTRIBUTES_AT, BatchWriter, crc32c, setCrc } from '../../src/record/index.ts'

export interface TransactionFields {
  producerId: number
  producerEpoch?: number
  baseSequence?: number
  count?: number
  value?: string
  timestampMs?: number
}

/** Records of a transaction. */
export function transactional(fields: TransactionFields): Uint8Array {
  const { producerId, producerEpoch = 0, baseSequence = 0, count = 1, timestampMs = 1_700_000_000_000 } = fields
  const value = new TextEncoder().encode(fields.value ?? 'value')
  const writer = new BatchWriter(new Uint8Array(61 + count * (value.length + 32)))
  for (let index = 0; index < count; index++) writer.append(timestampMs, null, value)
  return writer.finish({ producerId, producerEpoch, baseSequence, transactional: true }).slice()
}

export interface MarkerFields {
  producerId: number
  producerEpoch?: number
  commit: boolean
  coordinatorEpoch?: number
  timestampMs?: number
}

/** A control batch that commits or aborts. */
export function marker(fields: MarkerFields): Uint8Array {
  const { producerId, producerEpoch = 0, commit, coordinatorEpoch = 0, timestampMs = 1_700_000_000_000 } = fields
  const writer = new BatchWriter(new Uint8Array(200))
  writer.append(timestampMs, Uint8Array.of(0, 0, 0, commit ? 1 : 0), Uint8Array.of(0, 0, 0, 0, 0, coordinatorEpoch))
  const bytes = writer.finish({ producerId, producerEpoch, baseSequence: -1, transactional: true }).slice()
  bytes[ATTRIBUTES_AT + 1]! |= 0x20
  setCrc(bytes, 0, crc32c(bytes, ATTRIBUTES_AT, bytes.length))
  return bytes
}
