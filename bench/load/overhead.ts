/** What the harness itself adds, measured where it will be: an open loop into a sink that takes no time. */
import { arrivalsOf } from './arrivals.ts'
import { OpenLoop, type Passage, type Sink } from './open-loop.ts'
import { nodePace } from './pace.ts'
import type { Overhead } from './protocol.ts'
import { STAMP_BYTES, Stamper } from './stamp.ts'

const RECORDS = 20_000
const PACED_RATE = 500
const PACED_SECONDS = 0.4
const VALUE_BYTES = 100

/** Answers in the next turn of the event loop, as a socket at its fastest does. */
class NoBroker implements Sink {
  readonly hasRoom = true
  readonly #stamper = new Stamper(0)
  readonly #value = new Uint8Array(Math.max(VALUE_BYTES, STAMP_BYTES))
  readonly #perPassage: number
  #passage: Passage = { done: Promise.resolve() }
  #left = 0

  constructor(perPassage: number) {
    this.#perPassage = perPassage
  }

  async ready(): Promise<void> {}

  send(intendedMs: number): Passage {
    this.#stamper.stamp(this.#value, intendedMs)
    if (this.#left-- === 0) {
      this.#left = this.#perPassage - 1
      this.#passage = { done: new Promise((resolve) => setImmediate(resolve)) }
    }
    return this.#passage
  }
}

export async function measureOverhead(): Promise<Overhead> {
  const seconds = 0.001
  const atOnce = await timed(RECORDS / seconds, seconds, 500)
  const paced = await timed(PACED_RATE, PACED_SECONDS, 1)
  const summary = paced.latency.whole.summary()
  return {
    microsecondsPerRecord: Math.round((atOnce.elapsedMs * 1e6) / RECORDS) / 1000,
    latencyMs: { p50: summary?.p50 ?? 0, p99: summary?.p99 ?? 0 },
  }
}

async function timed(rate: number, seconds: number, perPassage: number) {
  const loop = new OpenLoop({
    arrivals: arrivalsOf({ kind: 'constant', rate, seconds }),
    pace: nodePace('precise'),
    sink: new NoBroker(perPassage),
    warmUpMs: 0,
    // A machine that is busy may take longer for all that is due within a millisecond.
    endMs: Number.MAX_SAFE_INTEGER,
    drainMs: 1000,
  })
  const startedMs = performance.now()
  const { latency } = await loop.run()
  return { latency, elapsedMs: performance.now() - startedMs }
}
