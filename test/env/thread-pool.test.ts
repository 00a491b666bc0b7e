import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../src/base/index.ts'
import { PoolClass, PoolSlots, poolThreads } from '../../src/env/node/thread-pool.ts'

const { DATA_SYNC, COLD_READ, REGION_SEND } = PoolClass
const classes = [DATA_SYNC, COLD_READ, REGION_SEND]
const held = (slots: PoolSlots) => classes.map((kind) => slots.held(kind))

/** Enters `count` times; returns how many were started at once. */
function fill(slots: PoolSlots, kind: PoolClass, count: number): number {
  const before = slots.held(kind)
  for (let i = 0; i < count; i++) slots.enter(kind, () => {})
  return slots.held(kind) - before
}

describe('PoolSlots', () => {
  test('leaves two threads to appends, but has one slot at least', () => {
    expect([1, 2, 3, 4, 8, 128].map((threads) => new PoolSlots(threads).slots)).toEqual([1, 1, 1, 2, 6, 126])
  })

  test('one class never takes the last slots of the others', () => {
    for (const kind of classes) expect(fill(new PoolSlots(8), kind, 20)).toBe(4)
  })

  test('each class starts at once while the others are full', () => {
    const slots = new PoolSlots(8)
    fill(slots, REGION_SEND, 20)
    expect(fill(slots, COLD_READ, 20)).toBe(1)
    expect(fill(slots, DATA_SYNC, 20)).toBe(1)
    expect(held(slots)).toEqual([1, 1, 4])
  })

  test('work starts in the order it came, within its class', () => {
    const slots = new PoolSlots(3)
    const started: number[] = []
    for (let i = 0; i < 5; i++) slots.enter(COLD_READ, () => started.push(i))
    expect(started).toEqual([0])
    for (let i = 0; i < 4; i++) slots.leave(COLD_READ)
    expect(started).toEqual([0, 1, 2, 3, 4])
  })

  test('with one slot the waiting classes take turns', () => {
    const slots = new PoolSlots(1)
    const started: PoolClass[] = []
    for (let i = 0; i < 3; i++) for (const kind of classes) slots.enter(kind, () => started.push(kind))
    while (started.length < 9) slots.leave(started.at(-1)!)
    expect(started).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
  })

  test('with two slots the third class waits only until one is free', () => {
    const slots = new PoolSlots(4)
    expect(fill(slots, COLD_READ, 5)).toBe(1)
    expect(fill(slots, REGION_SEND, 5)).toBe(1)
    expect(fill(slots, DATA_SYNC, 5)).toBe(0)
    slots.leave(COLD_READ)
    expect(held(slots)).toEqual([1, 0, 1])
  })

  test('work that ends while it is started frees its slot', () => {
    const slots = new PoolSlots(3)
    let runs = 0
    for (let i = 0; i < 100; i++) {
      slots.enter(DATA_SYNC, () => {
        runs++
        slots.leave(DATA_SYNC)
      })
    }
    expect(runs).toBe(100)
    expect(held(slots)).toEqual([0, 0, 0])
  })

  test('refuses to take back what nobody holds', () => {
    expect(() => new PoolSlots(8).leave(DATA_SYNC)).toThrow(InvariantError)
  })

  test('never holds too many, never forgets anyone', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.constantFrom(...classes)), { maxLength: 200 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), steps, (threads, moves) => {
        const slots = new PoolSlots(threads)
        let entered = 0
        let started = 0
        for (const [enters, kind] of moves) {
          if (enters) {
            entered++
            slots.enter(kind, () => started++)
          } else if (slots.held(kind) > 0) slots.leave(kind)
          const inAll = held(slots).reduce((sum, count) => sum + count)
          expect(inAll).toBeLessThanOrEqual(slots.slots)
          // Free slots beyond what the others may need are never left empty while work waits.
          for (const other of classes) {
            if (slots.waiting(other) > 0 && slots.held(other) === 0) expect(inAll).toBe(slots.slots)
          }
        }
        for (let guard = 0; guard < 1000 && started < entered; guard++) {
          slots.leave(classes.find((kind) => slots.held(kind) > 0)!)
        }
        expect(started).toBe(entered)
      }),
    )
  })
})

test('the number of threads is read as libuv reads it', () => {
  expect([undefined, '8', '0', '-3', 'many', '4096', '12 '].map(poolThreads)).toEqual([4, 8, 1, 1, 1, 1024, 12])
})
