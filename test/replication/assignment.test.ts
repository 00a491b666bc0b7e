import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/simulated/index.ts'
import { type AssignableBroker, assignReplicas } from '../../src/replication/index.ts'

const seeded = (seed: number) => {
  const random = new SeededRandom(seed)
  return () => random.fraction()
}
const brokersIn = (...racks: string[]): AssignableBroker[] => racks.map((rack, i) => ({ id: i + 1, rack, replicas: 0 }))
const spread = (numbers: readonly number[]) => Math.max(...numbers) - Math.min(...numbers)
const count = (brokers: readonly AssignableBroker[], ids: readonly number[]) =>
  brokers.map(({ id }) => ids.filter((one) => one === id).length)

const clusters = fc
  .record({
    racks: fc.integer({ min: 1, max: 4 }),
    perRack: fc.integer({ min: 1, max: 4 }),
    partitions: fc.integer({ min: 1, max: 60 }),
    seed: fc.integer(),
    factor: fc.integer({ min: 1, max: 5 }),
  })
  .filter(({ racks, perRack, factor }) => factor <= racks * perRack)

describe('replicas of a new topic', () => {
  test('are on different brokers, spread over racks, brokers and leaders', () => {
    fc.assert(
      fc.property(clusters, ({ racks, perRack, partitions, seed, factor }) => {
        const names = Array.from({ length: racks * perRack }, (_, i) => `rack-${i % racks}`)
        const brokers = brokersIn(...names)
        const assigned = assignReplicas({ brokers, partitions, replicationFactor: factor, chance: seeded(seed) })
        expect(assigned).toHaveLength(partitions)
        for (const replicas of assigned) {
          expect(new Set(replicas).size).toBe(factor)
          const used = new Set(replicas.map((id) => brokers[id - 1]!.rack))
          expect(used.size).toBe(Math.min(factor, racks))
        }
        expect(spread(count(brokers, assigned.flat()))).toBeLessThanOrEqual(factor % racks === 0 ? 1 : 2)
        expect(
          spread(
            count(
              brokers,
              assigned.map((replicas) => replicas[0]!),
            ),
          ),
        ).toBeLessThanOrEqual(2)
      }),
      { examples: [[{ racks: 3, perRack: 4, partitions: 43, seed: 17, factor: 2 }]] },
    )
  })

  test('what the brokers have already decides between equals only', () => {
    const brokers = [
      { id: 1, rack: '', replicas: 100 },
      { id: 2, rack: '', replicas: 0 },
      { id: 3, rack: '', replicas: 50 },
    ]
    const one = assignReplicas({ brokers, partitions: 1, replicationFactor: 1, chance: seeded(1) })
    expect(one).toEqual([[2]])
    const many = assignReplicas({ brokers, partitions: 30, replicationFactor: 1, chance: seeded(1) })
    expect(count(brokers, many.flat())).toEqual([10, 10, 10])
  })

  test('the partitions of one broker have their other replicas on all the others', () => {
    const brokers = brokersIn('', '', '', '', '', '')
    const assigned = assignReplicas({ brokers, partitions: 120, replicationFactor: 3, chance: seeded(7) })
    const others = new Set(assigned.filter((replicas) => replicas.includes(1)).flat())
    expect(others.size).toBe(6)
  })

  test('a small rack gets its share of each partition', () => {
    const brokers = brokersIn('a', 'b', 'b')
    const assigned = assignReplicas({ brokers, partitions: 20, replicationFactor: 2, chance: seeded(3) })
    for (const replicas of assigned) expect(replicas).toContain(1)
  })
})
