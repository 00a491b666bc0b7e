import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PartitionValue } from '../../src/metadata/index.ts'
import { brokenLog, preferred, resigned, settled, suspected } from '../../src/replication/election.ts'
import { withIsr } from '../../src/replication/index.ts'

const partition = (more: Partial<PartitionValue> = {}): PartitionValue => ({
  leader: 1,
  leaderEpoch: 5,
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  elr: [],
  partitionEpoch: 9,
  ...more,
})
const rules = (
  alive: readonly number[],
  more: { min?: number; unclean?: boolean; leaving?: readonly number[]; patient?: boolean } = {},
) => ({
  patient: more.patient ?? true,
  life: (id: number) => (alive.includes(id) ? `life-${id}` : undefined),
  minInsyncReplicas: more.min ?? 1,
  unclean: more.unclean ?? false,
  alive: (id: number) => alive.includes(id),
  leaving: (id: number) => more.leaving?.includes(id) ?? false,
})

describe('an ISR that changes', () => {
  test('keeps members eligible while it is below the minimum, and forgets them when it is not', () => {
    const small = withIsr(partition(), [1], 2)
    expect(small).toMatchObject({ isr: [1], elr: [2, 3], partitionEpoch: 10, leaderEpoch: 5 })
    expect(withIsr(small, [1, 3], 2)).toMatchObject({ isr: [1, 3], elr: [] })
  })

  test('cannot be asked for more members than there are replicas', () => {
    expect(withIsr(partition({ replicas: [1, 2], isr: [1] }), [1, 2], 3)).toMatchObject({ elr: [] })
  })

  test('clears those who are in sync again of suspicion, and with enough in sync everybody', () => {
    const suspect = suspected(partition(), 2, [4, 100])
    expect(suspect).toMatchObject({ leader: 1, isr: [1, 3], suspects: { 2: [4, 100] } })
    expect(withIsr(suspect, [1, 2, 3], 1).suspects).toBeUndefined()
    expect(withIsr(suspected(suspect, 3, [4, 1]), [1, 2], 3).suspects).toEqual({ 3: [4, 1] })
    expect(withIsr(suspected(suspect, 3, [4, 1]), [1, 2], 2).suspects).toBeUndefined()
    // The controller only sees who is there: nothing says that anything was committed with them.
    expect(settled(suspected(partition(), 3, [4, 1]), rules([1]))).toMatchObject({ isr: [1], suspects: { 3: [4, 1] } })
  })

  test('is given to an empty log last, where an unclean leader is allowed', () => {
    const alone = partition({ isr: [], elr: [1], leader: -1, suspects: { 3: [-1, 0, 'life-3'] } })
    expect(settled(alone, rules([2, 3], { unclean: true }))).toMatchObject({ leader: 2 })
    expect(settled(alone, rules([3], { unclean: true }))).toMatchObject({ leader: 3 })
    const longer = { ...alone, suspects: { 3: [4, 100, 'life-3'] } as const }
    expect(settled(longer, rules([2, 3], { unclean: true }))).toMatchObject({ leader: 3 })
  })

  test('does not forget whose log cannot be opened', () => {
    const broken = suspected(partition(), 3, brokenLog('life-3'))
    expect(withIsr(broken, [1, 2], 1).suspects).toEqual({ 3: brokenLog('life-3') })
    expect(withIsr(broken, [1, 2, 3], 1).suspects).toBeUndefined()
  })
})

test('a suspect leader leads no more', () => {
  expect(suspected(partition(), 1, [5, 7])).toMatchObject({ leader: -1, isr: [2, 3] })
  expect(resigned(partition(), 1)).toMatchObject({ leader: -1, isr: [1, 2, 3], leaderEpoch: 5, partitionEpoch: 10 })
})

describe('where only suspects are left', () => {
  const logs = { 1: [5, 10, 'life-1'], 2: [4, 900, 'life-2'], 3: [5, 20, 'life-3'] } as const
  const all = partition({ leader: -1, isr: [], suspects: logs })

  test('the longest log of the latest epoch leads', () => {
    expect(settled(all, rules([1, 2, 3]))).toMatchObject({ leader: 3, isr: [3], leaderEpoch: 6 })
    expect(settled(all, rules([1, 2, 3]))!.suspects).toBeUndefined()
  })

  test('those that are away are waited for, but not for ever', () => {
    expect(settled(all, rules([1, 2]))).toBeUndefined()
    expect(settled(all, rules([1, 2], { patient: false }))).toMatchObject({ leader: 1, isr: [1] })
    expect(settled(all, rules([1, 2], { unclean: true }))).toMatchObject({ leader: 1, isr: [1] })
  })

  test('fewer than min.insync.replicas that have told elect nobody by themselves', () => {
    const given = { min: 2, patient: false }
    expect(settled(all, rules([1], given))).toBeUndefined()
    expect(settled(all, rules([1, 2], given))).toMatchObject({ leader: 1 })
    // There never were more.
    const one = partition({ leader: -1, isr: [], suspects: { 1: [5, 10, 'life-1'] } })
    expect(settled(one, rules([1], { min: 2 }))).toMatchObject({ leader: 1 })
  })

  test('what an earlier life has told does not count', () => {
    const stale = partition({ leader: -1, isr: [], suspects: { ...logs, 3: [5, 2000, 'life-before'] } })
    expect(settled(stale, rules([1, 2, 3]))).toBeUndefined()
    expect(settled(stale, rules([1, 2, 3], { patient: false }))).toMatchObject({ leader: 1 })
    const old = partition({ leader: -1, isr: [], suspects: { 1: [5, 10], 2: [5, 11], 3: [5, 12] } })
    expect(settled(old, rules([1, 2, 3], { patient: false }))).toBeUndefined()
  })

  test('what was told while somebody led is out of date when that one goes', () => {
    const followed = suspected(partition({ isr: [1] }), 2, [5, 3, 'life-2'])
    expect(suspected(followed, 1, [5, 9, 'life-1']).suspects).toEqual({ 1: [5, 9, 'life-1'], 2: [5, 3] })
  })

  test('a log that cannot be opened never leads, and nobody waits for it', () => {
    const broken = suspected(suspected(all, 3, brokenLog('life-3')), 2, [4, 900, 'life-2'])
    expect(settled(broken, rules([1, 2, 3]))).toMatchObject({ leader: 1 })
    const alone = partition({ leader: -1, isr: [], suspects: { 3: brokenLog('life-3') } })
    expect(settled(alone, rules([3], { patient: false, unclean: true }))).toBeUndefined()
    expect(settled(alone, rules([1, 3], { unclean: true }))).toMatchObject({ leader: 1 })
  })
})

test('those who leave lead only while nobody else could', () => {
  expect(settled(partition(), rules([1, 2, 3], { leaving: [1, 2] }))).toMatchObject({ leader: 3, isr: [3] })
  expect(settled(partition({ isr: [1] }), rules([1, 2, 3], { leaving: [1] }))).toBeUndefined()
  const eligible = partition({ leader: -1, isr: [], elr: [2, 3] })
  expect(settled(eligible, rules([2, 3], { leaving: [2] }))).toMatchObject({ leader: 3 })
  expect(settled(eligible, rules([2], { leaving: [2] }))).toMatchObject({ leader: 2 })
})

test('the preferred leader leads again when it is in sync and stays', () => {
  const moved = partition({ leader: 2 })
  expect(preferred(moved, rules([1, 2, 3]))).toMatchObject({ leader: 1, leaderEpoch: 6, partitionEpoch: 10 })
  expect(preferred(moved, rules([2, 3]))).toBeUndefined()
  expect(preferred(moved, rules([1, 2, 3], { leaving: [1] }))).toBeUndefined()
  expect(preferred(partition({ leader: 2, isr: [2, 3] }), rules([1, 2, 3]))).toBeUndefined()
  expect(preferred(partition(), rules([1, 2, 3]))).toBeUndefined()
})

const ids = [1, 2, 3, 4]
const states = fc
  .record({
    isr: fc.subarray(ids),
    elr: fc.subarray(ids),
    alive: fc.subarray(ids),
    leaving: fc.subarray(ids),
    leader: fc.constantFrom(-1, ...ids),
    min: fc.integer({ min: 1, max: 5 }),
    unclean: fc.boolean(),
  })
  .map((state) => ({
    ...state,
    elr: state.elr.filter((id) => !state.isr.includes(id)),
    leader: state.isr.includes(state.leader) ? state.leader : -1,
  }))

test('whatever comes and goes, the rules hold', () => {
  fc.assert(
    fc.property(states, ({ isr, elr, alive, leaving, leader, min, unclean }) => {
      const before = partition({ replicas: ids, isr, elr, leader })
      const given = rules(alive, { min, unclean, leaving })
      const after = settled(before, given) ?? before
      const trusted = [...isr, ...elr]
      if (after !== before) expect(after.partitionEpoch).toBe(before.partitionEpoch + 1)
      expect(after.leaderEpoch - before.leaderEpoch).toBe(after.leader !== -1 && after.leader !== leader ? 1 : 0)
      if (after.leader !== -1) {
        expect(alive).toContain(after.leader)
        expect(after.isr).toContain(after.leader)
        if (!unclean) expect(trusted).toContain(after.leader)
      } else {
        expect(trusted.some((id) => alive.includes(id))).toBe(false)
      }
      // Nobody who may have every acknowledged record is forgotten while too few are in sync.
      if (after.leader === -1 || (trusted.includes(after.leader) && after.isr.length < Math.min(min, 4))) {
        expect([...after.isr, ...after.elr].sort()).toEqual(trusted.sort())
      }
      expect(after.isr.filter((id) => after.elr.includes(id))).toEqual([])
      expect(settled(after, given)).toBeUndefined()
    }),
    { numRuns: 2000 },
  )
})
