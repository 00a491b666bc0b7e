import { describe, expect, test } from 'vitest'
import { setBaseOffset } from '../../src/record/index.ts'
import { batchWith } from '../client/batches.ts'
import { checkHistory, checkReplicas, History, type Verdict } from './history.ts'

const P = 'topic-0'

/** `count` values sent by two producers and acknowledged, read by a consumer and at the end. */
function soundHistory(count = 100): History {
  const history = new History()
  const read = history.reader('consumer', P)
  for (let at = 0; at < count; at++) {
    history.acked(history.send(`p${at % 2}`, P, `v${at}`), at)
    read(at, `v${at}`)
  }
  return history
}

function readAtEnd(history: History, values: readonly string[]): Verdict[] {
  const read = history.reader('final', P)
  for (const [offset, value] of values.entries()) read(offset, value)
  return verdictsOf(history)
}

function verdictsOf(history: History): Verdict[] {
  return [...new Set(checkHistory(history, { finalReader: 'final' }).map(({ verdict }) => verdict))].sort()
}

const values = (count: number): string[] => Array.from({ length: count }, (_, at) => `v${at}`)

describe('checkHistory', () => {
  test('a sound history has no violation', () => {
    expect(readAtEnd(soundHistory(), values(100))).toEqual([])
  })

  test('what was not answered may be there or not, what was refused may be missing', () => {
    const history = soundHistory(2)
    history.send('p0', P, 'there')
    history.send('p0', P, 'not there')
    history.failed(history.send('p0', P, 'refused'))
    expect(readAtEnd(history, ['v0', 'v1', 'there'])).toEqual([])
  })

  test('a consumer that begins later, or again, has skipped nothing', () => {
    const history = soundHistory(10)
    for (const from of [3, 0]) {
      const read = history.reader('other', P)
      for (let at = from; at < 8; at++) read(at, `v${at}`)
    }
    expect(readAtEnd(history, values(10))).toEqual([])
  })

  test('lost: acknowledged, and not there at the end', () => {
    const history = new History()
    for (const [at, value] of values(3).entries()) history.acked(history.send('p', P, value), at)
    expect(readAtEnd(history, values(2))).toEqual(['lost'])
  })

  test('lost: not acknowledged, but read by somebody', () => {
    const history = new History()
    history.send('p', P, 'v0')
    history.reader('consumer', P)(0, 'v0')
    expect(readAtEnd(history, [])).toEqual(['lost'])
  })

  test('lost: a partition that nobody could read at the end', () => {
    const history = new History()
    history.acked(history.send('p', P, 'v0'), 0)
    expect(verdictsOf(history)).toEqual(['lost'])
  })

  test('duplicated: a value at two offsets, unless its producer may do that', () => {
    const history = soundHistory(3)
    const read = history.reader('final', P)
    for (const [offset, value] of ['v0', 'v1', 'v2', 'v1'].entries()) read(offset, value)
    expect(verdictsOf(history)).toEqual(['duplicated'])
    const mayRepeat = new Set(['p1'])
    expect(checkHistory(history, { finalReader: 'final', mayRepeat })).toEqual([])
  })

  test('reordered: against the order of one producer', () => {
    const history = new History()
    for (const value of values(3)) history.send('p', P, value)
    expect(readAtEnd(history, ['v0', 'v2', 'v1'])).toEqual(['reordered'])
  })

  test('reordered: at an offset that somebody knew of before it was sent', () => {
    const history = soundHistory(2)
    history.acked(history.send('p3', P, 'late'), 5)
    history.acked(history.send('p4', P, 'later'), 4)
    const read = history.reader('final', P)
    for (const [offset, value] of [...values(2).entries(), [4, 'later'], [5, 'late']] as const) read(offset, value)
    expect(verdictsOf(history)).toEqual(['reordered'])
  })

  test('reordered: a consumer that goes back', () => {
    const history = soundHistory(3)
    const read = history.reader('other', P)
    for (const offset of [0, 1, 1, 2]) read(offset, `v${offset}`)
    expect(readAtEnd(history, values(3))).toEqual(['reordered'])
  })

  test('skipped: a consumer that leaves out what is there', () => {
    const history = soundHistory(4)
    const read = history.reader('other', P)
    for (const offset of [0, 1, 3]) read(offset, `v${offset}`)
    expect(readAtEnd(history, values(4))).toEqual(['skipped'])
  })

  test('phantom: never sent, refused, or sent elsewhere', () => {
    const verdicts = (prepare: (history: History) => void): Verdict[] => {
      const history = new History()
      prepare(history)
      return readAtEnd(history, ['ghost'])
    }
    expect(verdicts(() => {})).toEqual(['phantom'])
    expect(verdicts((history) => history.failed(history.send('p', P, 'ghost')))).toEqual(['phantom'])
    expect(verdicts((history) => history.send('p', 'topic-1', 'ghost'))).toContain('phantom')
  })

  test('two values: readers disagree, acknowledgements do, or one with the other', () => {
    const disagreement = (tell: (history: History) => void): Verdict[] => {
      const history = new History()
      tell(history)
      return verdictsOf(history)
    }
    const readers = disagreement((history) => {
      for (const value of ['a', 'b']) history.send(value, P, value)
      history.reader('one', P)(0, 'a')
      history.reader('final', P)(0, 'b')
    })
    const acks = disagreement((history) => {
      const sends = ['a', 'b'].map((value) => history.send(value, P, value))
      for (const send of sends) history.acked(send, 0)
    })
    const both = disagreement((history) => {
      const send = history.send('a', P, 'a')
      history.send('b', P, 'b')
      history.reader('final', P)(0, 'b')
      history.acked(send, 0)
    })
    for (const verdicts of [readers, acks, both]) expect(verdicts).toContain('two values')
  })

  test('a long history is checked in no time that grows with its square', () => {
    expect(readAtEnd(soundHistory(200_000), values(200_000))).toEqual([])
  })
})

describe('checkReplicas', () => {
  const batches = (...texts: string[][]): Uint8Array => {
    let offset = 0
    return Buffer.concat(
      texts.map((values) => {
        const batch = batchWith(values)
        setBaseOffset(batch, 0, offset)
        offset += values.length
        return batch
      }),
    )
  }
  const replica = (name: string, bytes: Uint8Array, startOffset = 0) => ({ name, bytes, startOffset })

  test('the same bytes below the high watermark, whatever comes after it or was deleted before', () => {
    const one = batches(['a', 'b'], ['c'], ['d'])
    const other = batches(['a', 'b'], ['c'], ['other'])
    expect(checkReplicas(P, [replica('1', one), replica('2', other)], 3)).toEqual([])
    const trimmed = one.subarray(batches(['a', 'b']).length)
    expect(checkReplicas(P, [replica('1', one), replica('2', trimmed, 2)], 4)).toEqual([])
  })

  test('diverged: other bytes, or fewer', () => {
    const one = batches(['a', 'b'], ['c'], ['d'])
    for (const other of [batches(['a', 'b'], ['x'], ['d']), batches(['a', 'b']), new Uint8Array(0)]) {
      const violations = checkReplicas(P, [replica('1', one), replica('2', other)], 3)
      expect(violations.map(({ verdict }) => verdict)).toEqual(['diverged'])
    }
  })
})
