/** Any messages of the old formats come out as they went in; damaged ones are errors of ours or whole batches. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { PagelogError } from '../../../src/base/index.ts'
import { convertLegacy, loadCodec, RecordBatch } from '../../../src/record/index.ts'
import * as golden from '../compression/golden.ts'
import { latin, MAX_BYTES } from '../compression/support.ts'
import { fromHex } from '../support.ts'
import { message, messages } from './support.ts'

const bytes = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: null })
const gap = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 100_000 }))
const timestamp = fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 2 ** 45 }))
const one = fc.record({ gap, timestamp, key: bytes, value: bytes })

const plain = (value: Uint8Array | null): string | null => (value === null ? null : latin(value))

it('gives back any messages, plain or wrapped', async () => {
  const codecs = await Promise.all([0, 1, 2, 3].map((number) => loadCodec(number)))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0 as const, 1 as const),
      fc.constantFrom(...codecs),
      fc.nat({ max: 2 ** 40 }),
      fc.array(one, { minLength: 1, maxLength: 30 }),
      async (magic, codec, start, given) => {
        let offset = start
        const absolute = given.map((each) => {
          offset += each.gap
          return { ...each, offset }
        })
        const base = magic === 1 ? absolute[0]!.offset : 0
        const inner = absolute.map((each) => ({ ...each, offset: each.offset - base }))
        const set =
          codec.compression === 0
            ? messages(magic, absolute)
            : message(magic, {
                offset,
                codec: codec.compression,
                value: codec.compress(messages(magic, inner), codec.name === 'lz4' ? 9 : 1),
              })
        const { batch, end } = await convertLegacy(set, 0, { maxBytes: MAX_BYTES })
        expect(end).toBe(set.length)
        const view = new RecordBatch(batch, 0)
        expect(view.isValid()).toBe(true)
        expect([view.baseOffset, view.lastOffset]).toEqual([absolute[0]!.offset, offset])
        const found = [...view].map((record) => [
          record.offset,
          record.timestamp,
          plain(record.key),
          plain(record.value),
        ])
        const expected = absolute.map((each) => {
          return [each.offset, magic === 0 ? -1 : each.timestamp, plain(each.key), plain(each.value)]
        })
        expect(found).toEqual(expected)
      },
    ),
    { numRuns: 150 },
  )
})

it('takes damage for damage, whether or not CRCs are looked at', async () => {
  const sets = golden.OLD_SETS.map(([, , , hex]) => fromHex(hex))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...sets),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      fc.boolean(),
      async (set, changes, cut, checkCrcs) => {
        const damaged = set.slice(0, cut % 3 === 0 ? cut % set.length : set.length)
        for (const [at, value] of changes) damaged[at % (damaged.length || 1)] = value
        for (let at = 0; at < damaged.length; ) {
          try {
            const { batch, end } = await convertLegacy(damaged, at, { maxBytes: 10_000, checkCrcs })
            expect(end).toBeGreaterThan(at)
            expect(new RecordBatch(batch, 0).isValid()).toBe(true)
            expect([...new RecordBatch(batch, 0)].length).toBeGreaterThan(0)
            at = end
          } catch (error) {
            expect(error).toBeInstanceOf(PagelogError)
            break
          }
        }
      },
    ),
    { numRuns: 1_500 },
  )
})
