import { describe, expect, test } from 'vitest'
import { consumerInterval, consumerTotal, endToEndSummary, producerInterval } from '../../bench/drivers/kafka-output.ts'

describe('output of Kafka’s perf tools', () => {
  test('a producer’s interval line', () => {
    const line =
      '3057110 records sent, 610567.2 records/sec (58.23 MB/sec), 493.0 ms avg latency, 1000.0 ms max latency.'
    expect(producerInterval(line)).toEqual({
      records: 3_057_110,
      recordsPerSecond: 610_567.2,
      meanLatencyMs: 493,
      maxLatencyMs: 1000,
    })
  })

  test('a producer’s last line, with its percentiles, is no interval', () => {
    const line =
      '8000000 records sent, 589796.5 records/sec (56.25 MB/sec), 467.69 ms avg latency, 1137.00 ms max latency, 500 ms 50th, 965 ms 95th, 1084 ms 99th, 1116 ms 99.9th.'
    expect(producerInterval(line)).toBeUndefined()
  })

  test('a consumer’s interval line', () => {
    const line = '2026-11-21 12:17:57:850, 0, 395.1993, 432.3324, 4143965, 4533333.3333, 0, 504, 432.3324, 4533333.3333'
    expect(consumerInterval(line)).toEqual({
      atMs: Date.UTC(2026, 10, 21, 12, 17, 57, 850),
      records: 4_143_965,
      recordsPerSecond: 4_533_333.3333,
      fetchRecordsPerSecond: 4_533_333.3333,
    })
  })

  test('a consumer’s line over the whole run is told from an interval', () => {
    const line =
      '2026-11-21 12:17:55:000, 2026-11-21 12:18:05:000, 953.6743, 95.3674, 10000000, 1000000.0000, 655, 9345, 102.0518, 1070090.9577'
    expect(consumerInterval(line)).toBeUndefined()
    expect(consumerTotal(line)).toEqual({
      seconds: 10,
      records: 10_000_000,
      recordsPerSecond: 1_000_000,
      fetchRecordsPerSecond: 1_070_090.9577,
    })
  })

  test('the end-to-end tool’s summary', () => {
    const output = '0\t24.5\n1000\t0.8\nAvg latency: 0.7507 ms\n\nPercentiles: 50th = 0, 99th = 3, 99.9th = 8\n'
    expect(endToEndSummary(output)).toEqual({ meanMs: 0.7507, p50Ms: 0, p99Ms: 3, p999Ms: 8 })
  })

  test.each([
    '',
    'time, threadId, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec',
    '12:17:57.850 WARN NetworkClient: Connection to node 1 could not be established',
    'records sent, a, b, c, d, e, f, g, h, i',
  ])('other lines are none of these: %s', (line) => {
    expect(producerInterval(line)).toBeUndefined()
    expect(consumerInterval(line)).toBeUndefined()
    expect(consumerTotal(line)).toBeUndefined()
    expect(endToEndSummary(line)).toBeUndefined()
  })
})
