/** The bytes of a batch: checksum, encoding, decoding; no file is touched. */
import { BATCH_HEADER_BYTES, BatchWriter, batchesOf, crc32c, RecordCursor } from '../../../src/record/index.ts'
import { measure } from '../measure.ts'
import type { Micro, MicroContext, Subject } from '../micro.ts'
import { BATCH_BYTES, Batches, recordsPerBatch, VALUE_BYTES, Values } from '../records.ts'
import { sink } from '../sink.ts'

/** A call does this many batches: a millisecond or so. */
const BATCHES_PER_CALL = 64

export const codecMicros: readonly Micro[] = [
  ...[256, 4096, BATCH_BYTES].map(
    (bytes): Micro => ({
      name: `crc.${bytes}`,
      title: `CRC-32C of ${bytes} bytes`,
      subjects: { pagelog: (context) => measureCrc(context, bytes) },
    }),
  ),
  {
    name: 'encode',
    title: 'records of 100 bytes into batches of 64 KiB, header and CRC written',
    subjects: { pagelog: measureEncode },
  },
  {
    name: 'decode.cursor',
    title: 'length and first byte of each value, by cursor',
    subjects: { pagelog: decoding(walkByCursor) },
  },
  {
    name: 'decode.records',
    title: 'a record object each, with a view of its value',
    subjects: { pagelog: decoding(walkRecords) },
  },
]

function measureCrc({ scale }: MicroContext, bytes: number) {
  const chunk = new Values(scale.poolBytes).take(Math.ceil(bytes / VALUE_BYTES))
  const data = new Uint8Array(Buffer.concat(chunk)).subarray(0, bytes)
  const unitsPerCall = Math.ceil((BATCHES_PER_CALL * BATCH_BYTES) / bytes)
  const call = () => {
    for (let i = 0; i < unitsPerCall; i++) sink.value ^= crc32c(data, 0, bytes)
  }
  return measure({ scale, unit: 'op/s', unitsPerCall, bytesPerUnit: bytes, call })
}

function measureEncode({ scale }: MicroContext) {
  const values = new Values(scale.poolBytes)
  const count = recordsPerBatch()
  const writer = new BatchWriter(new Uint8Array(BATCH_BYTES))
  const call = () => {
    for (let batch = 0; batch < BATCHES_PER_CALL; batch++) {
      writer.reset()
      for (let i = 0; i < count; i++) writer.append(1_767_225_600_000 + i, null, values.next())
      sink.value ^= writer.finish().length
    }
  }
  return measure({ scale, unit: 'rec/s', unitsPerCall: BATCHES_PER_CALL * count, bytesPerUnit: VALUE_BYTES, call })
}

/** Over batches that no cache level holds together (at full scale). */
function decoding(walk: (batch: Uint8Array) => void): Subject {
  return ({ scale }) => {
    const batches = new Batches({ poolBytes: scale.poolBytes, recordsPerBatch: recordsPerBatch() })
    const unitsPerCall = BATCHES_PER_CALL * batches.recordsPerBatch
    const call = () => {
      for (let i = 0; i < BATCHES_PER_CALL; i++) walk(batches.next())
    }
    return measure({ scale, unit: 'rec/s', unitsPerCall, bytesPerUnit: VALUE_BYTES, call })
  }
}

const cursor = new RecordCursor()

function walkByCursor(batch: Uint8Array): void {
  let sum = BATCH_HEADER_BYTES
  cursor.reset(batch, 0)
  while (cursor.next()) sum += cursor.valueLength + batch[cursor.valueStart]!
  sink.value ^= sum
}

function walkRecords(bytes: Uint8Array): void {
  let sum = 0
  for (const batch of batchesOf(bytes)) {
    for (const record of batch) {
      const value = record.value!
      sum += value.length + value[0]!
    }
  }
  sink.value ^= sum
}
