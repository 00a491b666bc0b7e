import { describe, expect, it } from 'vitest'
import { lastSequenceOf, type ProducerBatch } from '../../src/log/producer-batch.ts'
import { Admission, ProducerState } from '../../src/log/producer-state.ts'

let offset = 0
function made(firstSequence: number, count = 1, producerEpoch = 0, producerId = 1): ProducerBatch {
  const baseOffset = offset
  offset += count
  const lastSequence = lastSequenceOf(firstSequence, count - 1)
  const lastOffset = offset - 1
  const offsets = { baseOffset, lastOffset, timestampMs: 1 }
  return {
    producerId,
    producerEpoch,
    firstSequence,
    lastSequence,
    ...offsets,
    isTransactional: false,
    marker: undefined,
  }
}

function stored(state: ProducerState, batch: ProducerBatch): ProducerBatch {
  state.reserve(batch)
  state.commit(batch)
  return batch
}

describe('ProducerState', () => {
  it('accepts any first sequence of an unknown producer, then only the next one', () => {
    const state = new ProducerState()
    expect(state.admit(1, 0, 500)).toBe(Admission.ACCEPTED)
    stored(state, made(500, 10))
    expect(state.admit(1, 0, 510)).toBe(Admission.ACCEPTED)
    for (const sequence of [0, 499, 500, 509, 511]) expect(state.admit(1, 0, sequence)).toBe(Admission.OUT_OF_ORDER)
    expect(state.admit(2, 0, 7)).toBe(Admission.ACCEPTED)
  })

  it('wraps sequences from 2^31-1 to 0', () => {
    const state = new ProducerState()
    expect(lastSequenceOf(2147483647, 0)).toBe(2147483647)
    expect(lastSequenceOf(2147483647, 1)).toBe(0)
    expect(lastSequenceOf(2147483640, 10)).toBe(2)
    stored(state, made(2147483647))
    expect(state.admit(1, 0, 0)).toBe(Admission.ACCEPTED)
    const wrapping = new ProducerState()
    stored(wrapping, made(2147483640, 11))
    expect(wrapping.admit(1, 0, 3)).toBe(Admission.ACCEPTED)
    expect(wrapping.duplicateOf(1, 0, 2147483640, 2)).toBeDefined()
  })

  it('knows the last five batches as duplicates, no more', () => {
    const state = new ProducerState()
    const batches = [0, 1, 2, 3, 4, 5, 6].map((index) => stored(state, made(index * 2, 2)))
    const found = batches.map((batch) => state.duplicateOf(1, 0, batch.firstSequence, batch.lastSequence))
    expect(found).toEqual([undefined, undefined, ...batches.slice(2)])
    expect(state.duplicateOf(1, 0, 4, 4)).toBeUndefined()
    expect(state.duplicateOf(1, 1, 4, 5)).toBeUndefined()
  })

  it('wants sequence 0 of a new epoch and refuses the old one afterwards', () => {
    const state = new ProducerState()
    stored(state, made(0, 5))
    expect(state.admit(1, 1, 5)).toBe(Admission.OUT_OF_ORDER)
    expect(state.admit(1, 1, 0)).toBe(Admission.ACCEPTED)
    stored(state, made(0, 1, 1))
    expect(state.admit(1, 0, 5)).toBe(Admission.OLD_EPOCH)
    expect(state.duplicateOf(1, 0, 0, 4)).toBeUndefined()
  })

  it('forgets pending batches when their write failed, keeping the five stored ones', () => {
    const state = new ProducerState()
    for (let index = 0; index < 5; index++) stored(state, made(index))
    for (let index = 5; index < 12; index++) state.reserve(made(index))
    expect(state.admit(1, 0, 12)).toBe(Admission.ACCEPTED)
    expect(state.duplicateOf(1, 0, 0, 0)).toBeUndefined()
    state.rollback()
    expect(state.admit(1, 0, 5)).toBe(Admission.ACCEPTED)
    expect(state.duplicateOf(1, 0, 0, 0)).toBeDefined()
    expect(state.duplicateOf(1, 0, 5, 5)).toBeUndefined()
  })

  it('forgets a producer, or an epoch, that only had pending batches', () => {
    const state = new ProducerState()
    state.reserve(made(9, 1, 0, 2))
    stored(state, made(0, 1, 3, 1))
    state.reserve(made(0, 1, 4, 1))
    state.rollback()
    expect(state.size).toBe(1)
    expect(state.admit(2, 0, 77)).toBe(Admission.ACCEPTED)
    expect(state.admit(1, 3, 1)).toBe(Admission.ACCEPTED)
  })

  it('is rebuilt by replay, markers raising the epoch', () => {
    const state = new ProducerState()
    for (const batch of [made(0, 3), made(3, 3)]) state.replay(batch)
    expect(state.admit(1, 0, 6)).toBe(Admission.ACCEPTED)
    expect(state.duplicateOf(1, 0, 0, 2)).toBeDefined()
    const marker = { isCommit: true, coordinatorEpoch: 0 }
    state.replay({ ...made(0), producerEpoch: 1, firstSequence: -1, lastSequence: -1, marker })
    expect(state.admit(1, 0, 6)).toBe(Admission.OLD_EPOCH)
    expect(state.admit(1, 1, 0)).toBe(Admission.ACCEPTED)
    expect(state.admit(1, 1, 1)).toBe(Admission.OUT_OF_ORDER)
  })

  it('expires idle producers only', () => {
    const state = new ProducerState()
    stored(state, { ...made(0, 1, 0, 1), timestampMs: 100 })
    stored(state, { ...made(0, 1, 0, 2), timestampMs: 200 })
    state.reserve({ ...made(0, 1, 0, 3), timestampMs: 50 })
    state.expireBefore(150)
    expect(state.size).toBe(2)
    expect(state.admit(1, 0, 40)).toBe(Admission.ACCEPTED)
  })
})
