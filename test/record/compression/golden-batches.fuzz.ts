/**
 * Batches of other clients, damaged in every way that a few changes can make: bits, bytes, words that say sizes, pieces
 * cut out, doubled, swapped between frames of a codec. Each is an error of ours, or records within the bound.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  crc32c,
  decompressBatch,
  RecordBatch,
  RecordCursor,
  setCrc,
} from '../../../src/record/index.ts'
import { goldenBatches } from './golden-batches.ts'
import { attempt, availableCodecs } from './support.ts'

const MAX_BYTES = 100_000
const codecs = await availableCodecs()
const cursor = new RecordCursor()

const changes = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('bit' as const), at: fc.nat(), bit: fc.nat({ max: 7 }) }),
    fc.record({ kind: fc.constant('byte' as const), at: fc.nat(), value: fc.nat({ max: 255 }) }),
    // Words as sizes are: huge, negative, zero, one off.
    fc.record({
      kind: fc.constant('word' as const),
      at: fc.nat(),
      value: fc.constantFrom(0, 1, -1, 0x7fffffff, 0x80000000, 0x00010000, 0xffff0000),
      isBig: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('double' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 400 }) }),
    fc.record({ kind: fc.constant('splice' as const), at: fc.nat(), of: fc.nat() }),
    fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
  ),
  { minLength: 1, maxLength: 4 },
)
type Change = typeof changes extends fc.Arbitrary<(infer One)[]> ? One : never

/** The header's sizes at the front of a frame are hit as often as all the rest. */
const placeOf = (at: number, length: number): number => (at % 2 === 0 ? (at >> 1) % Math.min(length, 24) : at % length)

function changed(frame: Uint8Array, change: Change, others: readonly Uint8Array[]): Uint8Array {
  if (frame.length === 0) return frame
  const at = placeOf(change.at, frame.length)
  const bytes = frame.slice()
  switch (change.kind) {
    case 'bit':
      bytes[at] = bytes[at]! ^ (1 << change.bit)
      return bytes
    case 'byte':
      bytes[at] = change.value
      return bytes
    case 'word':
      if (at + 4 <= bytes.length) new DataView(bytes.buffer).setInt32(at, change.value, !change.isBig)
      return bytes
    case 'cut':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.length)])
    case 'double':
      return Buffer.concat([bytes.subarray(0, at + change.length), bytes.subarray(at)])
    case 'splice': {
      const other = others[change.of % others.length]!
      return Buffer.concat([bytes.subarray(0, at), other.subarray(Math.min(at, other.length))])
    }
    case 'end':
      return bytes.subarray(0, at)
  }
}

describe.each(codecs.filter(({ name }) => name !== 'none').map((codec) => [codec.name, codec] as const))(
  '%s',
  (name, codec) => {
    const batches = goldenBatches()
      .filter((batch) => batch.codec === name)
      .map(({ base64 }) => new Uint8Array(Buffer.from(base64, 'base64')))
    const frames = batches.map((batch) => batch.subarray(BATCH_HEADER_BYTES))

    it('damaged, with a right CRC, is an error of ours or stays within its bounds', () => {
      fc.assert(
        fc.property(fc.nat({ max: batches.length - 1 }), changes, (which, list) => {
          const frame = list.reduce<Uint8Array>((bytes, change) => changed(bytes, change, frames), frames[which]!)
          const batch = Buffer.concat([batches[which]!.subarray(0, BATCH_HEADER_BYTES), frame])
          batch.writeInt32BE(batch.length - 12, 8)
          setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, batch.length))
          attempt(() => {
            const plain = decompressBatch(batch, codec, MAX_BYTES)
            expect(plain.length).toBeLessThanOrEqual(MAX_BYTES + BATCH_HEADER_BYTES)
            expect(new RecordBatch(plain, 0).isValid()).toBe(true)
            cursor.reset(plain, 0)
            while (cursor.next()) expect(cursor.recordEnd).toBeLessThanOrEqual(plain.length)
          })
        }),
        { numRuns: 500, verbose: 1 },
      )
    })
  },
)
