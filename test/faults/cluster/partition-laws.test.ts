import { describe, expect, test } from 'vitest'
import type { PartitionValue } from '../../../src/metadata/index.ts'
import { sortGaps } from './gaps.ts'
import { PartitionLaws } from './partition-laws.ts'

const sound: PartitionValue = {
  leader: 1,
  leaderEpoch: 4,
  replicas: [1, 2, 3],
  isr: [1, 2],
  elr: [],
  partitionEpoch: 7,
}

function seen(...states: readonly Partial<PartitionValue>[]): string[] {
  const laws = new PartitionLaws()
  for (const state of states) laws.see('topic', { ...sound, ...state, index: 0 })
  return laws.violations.map(({ verdict, partition, text }) => `${verdict} ${partition}: ${text}`)
}

describe('states of a partition', () => {
  test('those of an ISR that changes, of nobody who leads, and of an election are lawful', () => {
    const away = { leader: -1, isr: [], elr: [1], partitionEpoch: 9 }
    const elected = { leader: 2, leaderEpoch: 5, isr: [2], partitionEpoch: 10 }
    expect(seen({}, { isr: [1], partitionEpoch: 8 }, away, elected)).toEqual([])
  })

  test.each<[Partial<PartitionValue>, string]>([
    [{ isr: [2, 3] }, '1 leads, in sync are 2,3'],
    [{ leaderEpoch: 3 }, 'leader epoch 3 after 4'],
    [{ partitionEpoch: 6 }, 'partition epoch 6 after 7'],
    [{ leader: 2 }, '1 and 2 lead in epoch 4'],
  ])('%j after a sound one is unlawful', (state, text) => {
    expect(seen({}, state)).toEqual([`unlawful state topic/0: ${text}`])
  })
})

test('pauses that touch a stretch of several faults are told apart from the others', () => {
  const gap = (fromMs: number, ms: number) => ({ partition: 'topic-0', fromMs, ms })
  const gaps = [gap(0, 90), gap(50, 60), gap(150, 10), gap(190, 50), gap(201, 5)]
  const { single, overlapping } = sortGaps(gaps, [{ fromMs: 100, toMs: 200 }])
  expect(single).toEqual([gaps[0], gaps[4]])
  expect(overlapping).toEqual([gaps[1], gaps[2], gaps[3]])
})
