import { describe, expect, test } from 'vitest'
import { bottleneckOf, limitOf, ratiosOf, resultsOf, worstReplication } from '../../bench/summary.ts'
import { outcomes, result, sampleRun, settings } from './sample-result.ts'

describe('from runs to results', () => {
  const [producer, latency] = outcomes as [(typeof outcomes)[0], (typeof outcomes)[0]]

  test('median and spread are of the runs that succeeded; a failed one counts as an error', () => {
    const [own] = resultsOf(producer!, settings)
    expect(own).toMatchObject({ recordsPerSecond: 5.5e6, low: 5e6, high: 6e6, errors: 1 })
    expect(own!.mebibytesPerSecond).toBeCloseTo((5.5e6 * 100) / 2 ** 20, 1)
  })

  test('the share of the limit is taken run by run over the bytes that were stored', () => {
    const [own] = resultsOf(producer!, settings)
    // 6e6 × 110 of 11e8 and 5e6 × 110 of 10e8; the second run failed.
    expect(own!.shareOfLimit).toBeCloseTo((0.6 + 0.55) / 2, 4)
    expect(limitOf(producer!)).toMatchObject({ recordsPerSecond: 1e7, low: 9_090_909, high: 10_909_091 })
  })

  test('ratios pair the runs, and a pair with a failed run does not count', () => {
    expect(ratiosOf(producer!)).toEqual([
      {
        test: 'single-producer',
        measure: 'recordsPerSecond',
        target: 'pagelog',
        against: 'kafka',
        ratio: 5,
        low: 4,
        high: 6,
      },
    ])
  })

  test('without Kafka’s tools our client stands against the others, and the others on our broker against themselves on Kafka’s', () => {
    const side = (target: 'pagelog' | 'kafka', driver: 'pagelog-client' | 'node-rdkafka', rate: number) => {
      return { variant: { target, driver }, runs: [sampleRun(rate, 1)] }
    }
    const variants = [
      side('pagelog', 'pagelog-client', 12e5),
      side('pagelog', 'node-rdkafka', 3e5),
      side('kafka', 'pagelog-client', 8e5),
      side('kafka', 'node-rdkafka', 2e5),
    ]
    const ratios = ratiosOf({ ...producer!, variants })
    expect(ratios.map(({ target, against, ratio }) => [target, against, ratio])).toEqual([
      ['pagelog', 'pagelog+node-rdkafka', 4],
      ['pagelog+node-rdkafka', 'kafka+node-rdkafka', 1.5],
      ['kafka+pagelog-client', 'kafka+node-rdkafka', 4],
    ])
  })

  test('latencies are compared by percentile, less is better, and share of the limit is the probe’s p50 by ours', () => {
    const ratios = ratiosOf(latency!)
    expect(ratios.map(({ measure, ratio }) => [measure, ratio])).toEqual([
      ['latencyP50', 0.25],
      ['latencyP99', 0.25],
    ])
    expect(resultsOf(latency!, settings)[0]!.shareOfLimit).toBe(0.25)
  })

  test('without a good run there are no figures, and without Kafka no ratios', () => {
    const failed = { ...producer!, variants: [{ ...producer!.variants[0]!, runs: [{ error: 'x' }] }] }
    expect(resultsOf(failed, settings)[0]).toMatchObject({ recordsPerSecond: null, latencyMs: null, errors: 1 })
    expect(ratiosOf(failed)).toEqual([])
    expect(limitOf({ ...producer!, throughput: [] })).toBeUndefined()
  })

  test('a process with a thread near a whole core is named as the limit', () => {
    expect(bottleneckOf(sampleRun(1, 1).processes)).toBe('broker (a thread at 95 % of a core)')
    expect(bottleneckOf([])).toBeNull()
  })

  test('a client that is the limit while no broker is, is said to be that', () => {
    const [broker, producer] = sampleRun(1, 1).processes
    const idle = { ...broker!, busiestThread: 0.5 }
    const busy = { ...producer!, busiestThread: 0.97 }
    expect(bottleneckOf([idle, busy])).toBe('producer (a thread at 97 % of a core): the client, not the broker')
    expect(bottleneckOf([broker!, busy])).not.toContain('not the broker')
  })

  test('of the followers the worst run counts, and nothing is said where nothing is replicated', () => {
    const run = (lagBytes: number, equalAfterMs: number) => {
      return { ...sampleRun(1, 1), replication: { lagBytes, lagRecords: lagBytes / 100, equalAfterMs } }
    }
    const worst = worstReplication([run(500, 3), { error: 'x' }, run(100, 40)])
    expect(worst).toEqual({ lagBytes: 500, lagRecords: 5, equalAfterMs: 40 })
    expect(worstReplication([sampleRun(1, 1)])).toBeNull()
  })

  test('the sample has both kinds of limits', () => {
    expect(result.limits).toHaveLength(2)
  })
})
