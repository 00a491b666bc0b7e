/** The parts of compaction: hash of keys, map of offsets, rate, transactions. */
import { describe, expect, test } from 'vitest'
import { SeededRandom, VirtualClock } from '../../src/env/simulated/index.ts'
import { hashed, hashKey, secretOf } from '../../src/log/compaction/key-hash.ts'
import { allocateOffsetMap, OffsetMap, STAGED_MAX } from '../../src/log/compaction/offset-map.ts'
import { Throttle } from '../../src/log/compaction/throttle.ts'
import { Transactions } from '../../src/log/compaction/transactions.ts'
import { setBaseOffset } from '../../src/record/index.ts'
import { marker, pairs } from './compaction-support.ts'

const secret = secretOf(new SeededRandom(7))
const hashOf = (text: string, given = secret): string => {
  const bytes = Buffer.from(`..${text}`)
  hashKey(bytes, 2, bytes.length - 2, given)
  return [...hashed].join()
}

describe('the hash of a key', () => {
  test('depends on every byte, on the length and on the secret', () => {
    const texts = [
      '',
      'a',
      'b',
      'ab',
      'ba',
      'abc',
      'abcd',
      'abcde',
      'abcd\0',
      'abcd\0\0',
      'x'.repeat(255),
      'x'.repeat(256),
    ]
    const hashes = texts.map((text) => hashOf(text))
    expect(new Set(hashes).size).toBe(texts.length)
    expect(texts.map((text) => hashOf(text))).toEqual(hashes)
    const other = secretOf(new SeededRandom(8))
    expect(texts.map((text) => hashOf(text, other)).filter((hash, index) => hash === hashes[index])).toEqual([])
  })

  test('spreads similar keys over all of its bits', () => {
    const ones = new Array(128).fill(0)
    const count = 4000
    for (let index = 0; index < count; index++) {
      hashOf(`user-${index}`)
      for (let bit = 0; bit < 128; bit++) ones[bit] += (hashed[bit >> 5]! >>> (bit & 31)) & 1
    }
    for (const one of ones) expect(Math.abs(one / count - 0.5)).toBeLessThan(0.06)
  })
})

describe('the function of the hash', () => {
  // HalfSipHash-1-3 with 64 bits of output, written down once: the words of the two halves.
  const reference = (bytes: Uint8Array, key0: number, key1: number): number[] => {
    let [a, c, d, e] = [key0, key1 ^ 0xee, 0x6c796765 ^ key0, 0x74656462 ^ key1]
    const rotated = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))
    const round = (): void => {
      a = (a + c) | 0
      c = rotated(c, 5) ^ a
      a = rotated(a, 16)
      d = (d + e) | 0
      e = rotated(e, 8) ^ d
      a = (a + e) | 0
      e = rotated(e, 7) ^ a
      d = (d + c) | 0
      c = rotated(c, 13) ^ d
      d = rotated(d, 16)
    }
    const padded = Buffer.alloc((Math.floor(bytes.length / 4) + 1) * 4)
    padded.set(bytes)
    padded[padded.length - 1] = bytes.length
    for (let at = 0; at < padded.length; at += 4) {
      e ^= padded.readInt32LE(at)
      round()
      a ^= padded.readInt32LE(at)
    }
    d ^= 0xee
    for (let count = 0; count < 3; count++) round()
    const first = c ^ e
    c ^= 0xdd
    for (let count = 0; count < 3; count++) round()
    return [first, c ^ e]
  }

  test('is HalfSipHash under each half of the secret, at any length and position', () => {
    const random = new SeededRandom(11)
    for (let length = 0; length < 300; length++) {
      const bytes = Buffer.concat([Buffer.alloc(length % 5), random.bytes(length)])
      const given = secretOf(random)
      hashKey(bytes, length % 5, length, given)
      const key = bytes.subarray(length % 5)
      const expected = [...reference(key, given[0], given[1]), ...reference(key, given[2], given[3])]
      if ([...hashed].join() !== expected.join()) expect.fail(`length ${length}`)
    }
  })
})

describe('the map of offsets', () => {
  const mapOf = (options: Partial<Parameters<typeof allocateOffsetMap>[0]> = {}) => {
    const memory = allocateOffsetMap({
      baseOffset: 1000,
      endOffset: 21_000,
      bytesMax: 1 << 20,
      loadFactor: 0.9,
      secret,
      ...options,
    })
    return { memory, map: new OffsetMap(memory) }
  }
  const put = (map: OffsetMap, key: string, offset: number): boolean => {
    const bytes = Buffer.from(key)
    map.stage(bytes, 0, bytes.length, offset)
    return map.putStaged() === 1
  }
  const has = (map: OffsetMap, key: string): boolean => map.has(Buffer.from(key), 0, Buffer.byteLength(key))

  test('knows the keys that were put, and which offsets newer ones supersede', () => {
    const { map, memory } = mapOf()
    const newest = new Map<string, number>()
    const superseded = new Set<number>()
    const random = new SeededRandom(3)
    for (let offset = 1000; offset < 21_000; offset++) {
      const key = `key ${Math.floor(random.fraction() * 6000)}`
      if (newest.has(key)) superseded.add(newest.get(key)!)
      newest.set(key, offset)
      expect(put(map, key, offset)).toBe(true)
    }
    expect(map.count).toBe(newest.size)
    const reader = new OffsetMap(memory) // as another job sees it
    for (let offset = 1000; offset < 21_000; offset++) {
      if (reader.isSuperseded(offset) !== superseded.has(offset)) expect.fail(`offset ${offset}`)
    }
    for (const key of newest.keys()) if (!has(reader, key)) expect.fail(key)
    expect([has(reader, 'key 6000'), has(reader, ''), has(reader, 'key')]).toEqual([false, false, false])
  })

  test('takes no new key beyond its load factor, but newer offsets of those it has', () => {
    const { map } = mapOf({ bytesMax: 100 * 20, loadFactor: 0.5 })
    let count = 0
    while (put(map, `key ${count}`, 1000 + count)) count++
    expect(count).toBeGreaterThan(30)
    expect(put(map, 'key 0', 1500)).toBe(true)
    expect(map.isSuperseded(1000)).toBe(true)
    expect(put(map, 'another', 1501)).toBe(false)
    expect(map.count).toBe(count)
  })

  test('takes no offset that it has no bit for, and can begin behind a gap', () => {
    const { map } = mapOf({ bytesMax: 1 << 20, endOffset: 1000 + 2 ** 40 })
    expect(put(map, 'far', 1000 + 2 ** 33)).toBe(false)
    map.beginAt(1000 + 2 ** 33)
    expect(put(map, 'far', 1000 + 2 ** 33)).toBe(true)
    expect(put(map, 'far', 1001 + 2 ** 33)).toBe(true)
    expect(map.isSuperseded(1000 + 2 ** 33)).toBe(true)
  })

  test('takes many records at a time, each newer than those before it, up to the one that finds it full', () => {
    const { map, memory } = mapOf({ bytesMax: 64 * 16, loadFactor: 0.1 })
    const keys = ['a', 'b', 'a', 'c', 'b', 'd', 'e', 'a', 'f', 'g', 'a', 'h']
    for (const [index, key] of keys.entries()) map.stage(Buffer.from(key), 0, 1, 1000 + 2 * index)
    expect(map.stagedCount).toBe(keys.length)
    const put = map.putStaged()
    expect(map.count).toBe(memory.countMax)
    expect(new Set(keys.slice(0, put)).size).toBe(memory.countMax)
    expect(keys.slice(0, put)).not.toContain(keys[put])
    expect([map.stagedCount, map.stagedOffset(put)]).toEqual([0, 1000 + 2 * put])
    // What lies behind the one that found no room changed nothing.
    const superseded = keys.map((key, index) => keys.indexOf(key, index + 1) < put && keys.indexOf(key, index + 1) > 0)
    expect(keys.map((_, index) => map.isSuperseded(1000 + 2 * index))).toEqual(superseded)
    expect([...'abcdefgh'].map((key) => has(map, key))).toEqual(
      [...'abcdefgh'].map((key) => keys.slice(0, put).includes(key)),
    )
  })

  test('takes as many at a time as can be staged, and none', () => {
    const { map } = mapOf()
    for (let index = 0; index < STAGED_MAX; index++) map.stage(Buffer.from(`key ${index % 7}`), 0, 5, 1000 + index)
    expect([map.putStaged(), map.putStaged(), map.count]).toEqual([STAGED_MAX, 0, 7])
    const kept = Array.from({ length: STAGED_MAX }, (_, index) => index).filter(
      (index) => !map.isSuperseded(1000 + index),
    )
    expect(kept).toEqual(Array.from({ length: 7 }, (_, index) => STAGED_MAX - 7 + index))
  })

  test('a record without a key is superseded at once', () => {
    const { map } = mapOf()
    expect(map.putKeyless(1003)).toBe(true)
    expect([1002, 1003, 1004].map((offset) => map.isSuperseded(offset))).toEqual([false, true, false])
  })

  test('needs no more memory than the records can fill', () => {
    const { memory } = mapOf({ endOffset: 1010, bytesMax: 1 << 30 })
    expect(memory.slots.byteLength + memory.superseded.byteLength).toBeLessThan(4096)
  })
})

describe('the rate', () => {
  const envOf = (clock: VirtualClock, isAborted = () => false) => ({ clock, isAborted, disk: undefined as never })

  test('holds back what is ahead of its time', async () => {
    const clock = new VirtualClock()
    const throttle = new Throttle(envOf(clock), 1_000_000)
    let isDone = false
    const waiting = throttle.take(500_000)!.then(() => {
      isDone = true
    })
    for (let passed = 0; passed < 400; passed += 100) {
      clock.advance(100)
      await Promise.resolve()
      await Promise.resolve()
    }
    expect(isDone).toBe(false)
    clock.advance(100)
    await waiting
    clock.advance(10_000)
    expect(throttle.take(1000)).toBeUndefined() // what was not used is not saved up, but a millisecond is not worth a timer
  })

  test('without a limit nothing waits', () => {
    expect(new Throttle(envOf(new VirtualClock()), Number.POSITIVE_INFINITY).take(1e12)).toBeUndefined()
  })

  test('an abort ends the wait', async () => {
    const clock = new VirtualClock()
    let isAborted = false
    const waiting = new Throttle(
      envOf(clock, () => isAborted),
      1,
    ).take(1e9)
    isAborted = true
    clock.advance(100)
    await waiting
  })
})

describe('transactions met by a walk', () => {
  const at = (batch: Uint8Array, offset: number): Uint8Array => {
    setBaseOffset(batch, 0, offset)
    return batch
  }
  const data = (id: number, offset: number) =>
    at(pairs([['k', 'v']], 1, { id, sequence: 0, transactional: true }), offset)
  const end = (id: number, isCommit: boolean, offset: number) => at(marker(id, isCommit, 1), offset)
  const entry = (producerId: number, firstOffset: number, lastOffset: number) => {
    return { producerId, firstOffset, lastOffset, lastStableOffset: lastOffset + 1 }
  }
  const walk = (coming: ReturnType<typeof entry>[]) => new Transactions({ coming, aborted: [], committed: [] })

  test('those in the index were aborted, others not', () => {
    const transactions = walk([entry(1, 10, 20)])
    expect(transactions.isAborted(data(1, 5), 0)).toBe(false)
    expect(transactions.isNeedless(end(1, true, 6), 0)).toBe(false)
    expect(transactions.isAborted(data(1, 10), 0)).toBe(true)
    expect(transactions.isAborted(data(2, 12), 0)).toBe(false)
    expect(transactions.isNeedless(end(1, false, 20), 0)).toBe(false)
    expect(transactions.kept).toEqual([entry(1, 10, 20)])
    expect(transactions.isAborted(data(1, 21), 0)).toBe(false)
  })

  test('one that ended before the walk began is over', () => {
    const transactions = walk([entry(1, 3, 7), entry(1, 30, 40)])
    expect(transactions.isAborted(data(1, 10), 0)).toBe(false)
    expect(transactions.isAborted(data(1, 33), 0)).toBe(true)
  })

  test('markers whose batches are gone are needless; so are those without a record', () => {
    const transactions = walk([entry(1, 10, 20)])
    expect(transactions.isNeedless(end(1, false, 20), 0)).toBe(true)
    expect(transactions.isNeedless(end(2, true, 21), 0)).toBe(true)
    expect(transactions.kept).toEqual([])
  })

  test('the walk goes on in another job', () => {
    const first = walk([entry(1, 10, 20), entry(3, 50, 60)])
    first.isAborted(data(1, 10), 0)
    first.isAborted(data(2, 11), 0)
    const second = new Transactions(structuredClone(first.state))
    expect(second.isAborted(data(1, 15), 0)).toBe(true)
    expect(second.isNeedless(end(2, true, 18), 0)).toBe(false)
    expect(second.isNeedless(end(1, false, 20), 0)).toBe(false)
    expect(second.isAborted(data(3, 55), 0)).toBe(true)
  })
})
