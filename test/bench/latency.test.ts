import { describe, expect, test } from 'vitest'
import { LatencyRecorder } from '../../bench/measure/latency.ts'

describe('latency histogram', () => {
  test('known delays come back within the three digits it keeps', () => {
    const recorder = new LatencyRecorder()
    for (let i = 0; i < 900; i++) recorder.record(10)
    for (let i = 0; i < 90; i++) recorder.record(50)
    for (let i = 0; i < 10; i++) recorder.record(200)
    const { p50, p90, p99, p999, max, mean, count } = recorder.summary()!
    expect(count).toBe(1000)
    const near = (value: number, expected: number) => expect(Math.abs(value / expected - 1)).toBeLessThan(0.002)
    near(p50, 10)
    near(p90, 10)
    near(p99, 50)
    near(p999, 200)
    near(max, 200)
    near(mean, 15.5)
  })

  test('histograms of two processes add up to that of both', () => {
    const [both, one, other] = [new LatencyRecorder(), new LatencyRecorder(), new LatencyRecorder()]
    for (let i = 1; i <= 2000; i++) {
      both.record(i / 100)
      ;(i % 2 === 0 ? one : other).record(i / 100)
    }
    one.merge(other.encode())
    expect(one.summary()).toEqual(both.summary())
  })

  test('less than a microsecond counts as one: never better than it was', () => {
    const recorder = new LatencyRecorder()
    recorder.record(0.0001)
    expect(recorder.summary()?.p50).toBe(0.001)
  })

  test('nothing recorded is no summary, and a reset forgets', () => {
    const recorder = new LatencyRecorder()
    expect(recorder.summary()).toBeUndefined()
    recorder.record(3)
    recorder.reset()
    expect(recorder.summary()).toBeUndefined()
  })
})
