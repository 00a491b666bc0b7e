/** The open loop in virtual time: against sinks that answer as told, and with the real producer against the stub broker. */
import { expect, test, vi } from 'vitest'
import { StubBroker } from '../../../bench/honesty/stub-broker.ts'
import { type ArrivalSpec, arrivalsOf, secondsOf } from '../../../bench/load/arrivals.ts'
import { OpenLoop, type OpenLoopResult, type Passage, type Sink } from '../../../bench/load/open-loop.ts'
import { clockPace, type Pace } from '../../../bench/load/pace.ts'
import { ProducerSink } from '../../../bench/load/producer-sink.ts'
import type { LoadProducerSpec } from '../../../bench/load/protocol.ts'
import { Scheduler, SimulatedMachine, SimulatedNetwork } from '../../../src/env/simulated/index.ts'

vi.setConfig({ testTimeout: 60_000 })

/** Answers each record after what `delayOf` says of the time at which it was sent. */
class ToldSink implements Sink {
  hasRoom = true
  readonly #pace: Pace
  readonly #delayOf: (atMs: number) => number

  constructor(pace: Pace, delayOf: (atMs: number) => number) {
    this.#pace = pace
    this.#delayOf = delayOf
  }

  async ready(): Promise<void> {
    await new Promise(() => {})
  }

  send(): Passage {
    const nowMs = this.#pace.nowMs()
    return { done: this.#pace.until(nowMs + this.#delayOf(nowMs)) }
  }
}

async function loop(
  arrivals: ArrivalSpec,
  delayOf: (atMs: number) => number,
  options: { warmUpMs?: number; drainMs?: number; hasRoom?: boolean } = {},
): Promise<OpenLoopResult> {
  const scheduler = new Scheduler(1)
  const pace = clockPace(scheduler.actor('load'))
  const sink = new ToldSink(pace, delayOf)
  sink.hasRoom = options.hasRoom ?? true
  const one = new OpenLoop({
    ...{ arrivals: arrivalsOf(arrivals), pace, sink },
    ...{ warmUpMs: options.warmUpMs ?? 0, endMs: secondsOf(arrivals) * 1000, drainMs: options.drainMs ?? 10_000 },
  })
  return await scheduler.settled(one.run(), 600_000)
}

const near = (value: number, wanted: number, share: number) => Math.abs(value - wanted) <= wanted * share

test.each([10, 50, 200])('a delay of %d ms is reported as that, for all percentiles', async (delayMs) => {
  const result = await loop({ kind: 'constant', rate: 200, seconds: 5 }, () => delayMs)
  const latency = result.latency.whole.summary()!
  for (const value of [latency.p50, latency.p99, latency.max]) expect(near(value, delayMs, 0.002)).toBe(true)
  expect(result).toMatchObject({ intended: 1000, sent: 1000, acknowledged: 1000, failed: 0, unfinished: 0 })
  expect(near(result.acknowledged / result.seconds, 200, 0.001)).toBe(true)
  expect(result.lateness.summary()!.max).toBeLessThan(0.01)
})

test('a stop of a second shows in full, for everyone who waited, and the service time does not hide it either', async () => {
  // Whoever comes during the stop waits for its end.
  const delayOf = (atMs: number) => (atMs >= 15_000 && atMs < 16_000 ? 16_000 - atMs : 0.2)
  const { latency } = await loop({ kind: 'constant', rate: 1000, seconds: 30 }, delayOf)
  const summary = latency.whole.summary()!
  expect(near(summary.max, 1000, 0.02)).toBe(true)
  expect(summary.p999).toBeGreaterThanOrEqual(950)
  expect(summary.p50).toBeLessThan(1)
  // Thirty of its seconds are told apart.
  expect(latency.intervals.length).toBeGreaterThanOrEqual(29)
})

test('the warm-up is sent and not counted', async () => {
  const result = await loop({ kind: 'constant', rate: 100, seconds: 3 }, (atMs) => (atMs < 1000 ? 500 : 5), {
    warmUpMs: 1000,
  })
  expect(result.intended).toBe(200)
  expect(result.latency.whole.summary()!.max).toBeLessThan(5.1)
})

test('what never comes back counts with the time it has waited', async () => {
  const never = Number.POSITIVE_INFINITY
  const result = await loop({ kind: 'constant', rate: 10, seconds: 2 }, (atMs) => (atMs < 1000 ? 1 : never), {
    drainMs: 3000,
  })
  expect(result).toMatchObject({ intended: 20, acknowledged: 10, unfinished: 10 })
  expect(near(result.latency.whole.summary()!.max, 4000, 0.05)).toBe(true)
})

test('records for which there is no room are not forgotten', async () => {
  const result = await loop({ kind: 'constant', rate: 100, seconds: 2 }, () => 1, { hasRoom: false, drainMs: 10 })
  expect(result).toMatchObject({ intended: 200, sent: 0, acknowledged: 0, unfinished: 200 })
  expect(result.latency.whole.count).toBe(200)
  expect(result.latency.whole.summary()!.p50).toBeGreaterThan(900)
})

test('a Poisson process has its rate and its seed', async () => {
  const spec = { kind: 'poisson', rate: 2000, seconds: 20, seed: 7 } as const
  const times = (seed: number) => {
    const arrivals = arrivalsOf({ ...spec, seed })
    const all: number[] = []
    for (let at = arrivals.next(); at !== Number.POSITIVE_INFINITY; at = arrivals.next()) all.push(at)
    return all
  }
  const one = times(7)
  expect(near(one.length, 40_000, 0.02)).toBe(true)
  expect(times(7)).toEqual(one)
  expect(times(8)).not.toEqual(one)
  // Distances as of independent arrivals: their deviation is their mean.
  const distances = one.slice(1).map((at, index) => at - one[index]!)
  const mean = distances.reduce((sum, distance) => sum + distance, 0) / distances.length
  const deviation = Math.sqrt(distances.reduce((sum, one) => sum + (one - mean) ** 2, 0) / distances.length)
  expect(near(deviation, mean, 0.05)).toBe(true)
})

const RATE = 200
const cases = [
  { delayMs: 10, stop: false },
  { delayMs: 50, stop: false },
  { delayMs: 200, stop: false },
  { delayMs: 0, stop: true },
]
test.each(cases)('the real producer against a stub broker: $delayMs ms, a stop: $stop', async ({ delayMs, stop }) => {
  const scheduler = new Scheduler(3)
  const network = new SimulatedNetwork(scheduler, { links: { latencyMs: 0.01, jitterMs: 0 } })
  const machine = (id: string) => new SimulatedMachine({ scheduler, network, name: id })
  const brokerEnv = machine('stub').start()
  const clientEnv = machine('client').start()
  const pace = clockPace(brokerEnv.clock)
  const broker = await scheduler.settled(
    StubBroker.start({ env: brokerEnv, pace, host: 'stub', partitions: 1, delayMs }),
    1000,
  )
  const sink = new ProducerSink(spec(broker.bootstrap), clientEnv)
  await scheduler.settled(sink.producer.partitionsOf('t'), 10_000)
  const one = new OpenLoop({
    arrivals: arrivalsOf({ kind: 'constant', rate: RATE, seconds: stop ? 30 : 3 }),
    ...{ pace: clockPace(clientEnv.clock), sink, warmUpMs: 0, endMs: 60_000, drainMs: 5000 },
  })
  if (stop) clientEnv.clock.after(12_000, () => broker.stop(1000))
  const result = await scheduler.settled(one.run(), 120_000)
  const latency = result.latency.whole.summary()!
  expect(result).toMatchObject({ failed: 0, unfinished: 0 })
  expect(near(result.acknowledged / result.seconds, RATE, 0.01)).toBe(true)
  if (stop) {
    expect(near(latency.max, 1000, 0.02)).toBe(true)
    expect(latency.p999).toBeGreaterThanOrEqual(950)
  } else expect(near(latency.p50, delayMs, 0.02)).toBe(true)
  await scheduler.settled(broker.close(), 1000)
})

function spec(bootstrap: string): LoadProducerSpec {
  return {
    kind: 'producer',
    ...{
      bootstrap,
      topic: 't',
      producer: 0,
      poolBytes: 10_000,
      seed: 1,
      warmUpSeconds: 0,
      seconds: 1,
      drainSeconds: 5,
    },
    tuning: {
      ...{ acks: 1, batchBytes: 16_384, lingerMs: 0, bufferBytes: 1 << 24 },
      ...{ compression: 'none', maxInFlight: 1000, idempotent: false },
    },
    values: { kind: 'random', bytes: 100 },
    keys: { kind: 'none' },
    arrivals: null,
    pacing: 'precise',
    stamped: false,
  }
}
