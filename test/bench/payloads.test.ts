import { describe, expect, test } from 'vitest'
import { addChecksums, type Checksum, difference, isSampled, Payloads } from '../../bench/drivers/payloads.ts'

const crc = (bytes: Uint8Array) => bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7)

/** What a receiver that looks at every record would add up. */
function received(values: readonly Uint8Array[]): Checksum {
  return addChecksums(
    values.map((value) => ({
      records: 1,
      bytes: value.length,
      firstBytes: value[0]!,
      sampled: isSampled(value, 0, value.length) ? crc(value) : 0,
    })),
  )
}

describe('payloads', () => {
  const options = { valueBytes: 100, seed: 7, poolBytes: 200_000, crc }

  test('values are distinct, of the size asked for, and the same for the same seed', () => {
    const { values } = new Payloads(options)
    expect(values).toHaveLength(2000)
    expect(values.every((value) => value.length === 100)).toBe(true)
    expect(new Set(values.map((value) => Buffer.from(value).toString('base64'))).size).toBe(2000)
    expect(new Payloads(options).values[1234]).toEqual(values[1234])
    expect(new Payloads({ ...options, seed: 8 }).values[1234]).not.toEqual(values[1234])
  })

  test('the checksum of n sends is what a receiver of them adds up, also beyond the pool', () => {
    const payloads = new Payloads({ ...options, valueBytes: 2, poolBytes: 20_000 })
    for (const sent of [0, 1, 9_999, 10_000, 23_456]) {
      const values = Array.from({ length: sent }, (_, i) => payloads.values[i % payloads.values.length]!)
      expect(payloads.checksumOf(sent)).toEqual(received(values))
    }
  })

  test('the sample is not empty and not large', () => {
    const { values } = new Payloads({ ...options, valueBytes: 2, poolBytes: 400_000 })
    const sampled = values.filter((value) => isSampled(value, 0, 2)).length
    expect(sampled).toBeGreaterThan(10)
    expect(sampled).toBeLessThan(200)
  })

  test('a lost, a doubled and a changed record are seen', () => {
    const { values } = new Payloads(options)
    const sent = received(values)
    expect(difference(sent, received(values))).toBeUndefined()
    expect(difference(sent, received(values.slice(1)))).toMatch(/^records/)
    expect(difference(sent, received([...values, values[0]!]))).toMatch(/^records/)
    const changed = Uint8Array.from(values[5]!)
    changed[0] = changed[0]! ^ 1
    expect(difference(sent, received(values.with(5, changed)))).toMatch(/^firstBytes/)
  })
})
