import { expect, test } from 'vitest'
import { type CpuProfile, selfTimes } from '../../bench/goals/cpu-profile.ts'

const frame = (id: number, functionName: string, url = '') => ({ id, callFrame: { functionName, url, lineNumber: 1 } })

const profile: CpuProfile = {
  nodes: [
    frame(1, '(root)'),
    frame(2, 'append', 'file:///broker.js'),
    frame(3, 'writev'),
    frame(4, '(garbage collector)'),
    frame(5, '(program)'),
    frame(6, '(idle)'),
  ],
  startTime: 1_000_000,
  // A sample holds from its own time until the next one's.
  samples: [2, 2, 3, 4, 5, 6, 2],
  timeDeltas: [0, 100, 200, 300, 400, 500, 600],
}

test('self time is split by the innermost frame', () => {
  const times = selfTimes(profile, 0, Number.MAX_SAFE_INTEGER)
  expect(times).toMatchObject({
    javaScript: 300,
    native: 300,
    garbageCollector: 400,
    program: 500,
    idle: 600,
    total: 2100,
  })
  expect(times.top[0]).toMatch(/^(append|writev) 14\.3 %$/)
})

test('what lies outside of the load is left out', () => {
  const times = selfTimes(profile, 1_000_100, 1_000_600)
  expect(times).toMatchObject({ javaScript: 200, native: 300, garbageCollector: 0, total: 500 })
  expect(selfTimes(profile, 0, 1).total).toBe(0)
})
