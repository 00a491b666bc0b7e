/** A closed loop: as fast as the producer has room. Of one record in about a thousand the latency is taken. */
import { LatencyRecorder } from '../measure/latency.ts'
import { IntervalLatency } from './intervals.ts'
import type { OpenLoopResult } from './open-loop.ts'
import type { ProducerSink } from './producer-sink.ts'

const LATENCY_EVERY = 1009
const LOOK_EVERY = 1024

export interface ClosedLoopOptions {
  readonly sink: ProducerSink
  readonly warmUpSeconds: number
  readonly seconds: number
  readonly drainSeconds: number
  readonly signal: AbortSignal
  readonly onMeasuring: () => void
}

export async function closedLoop(options: ClosedLoopOptions): Promise<OpenLoopResult> {
  const { sink, warmUpSeconds, seconds, drainSeconds, signal, onMeasuring } = options
  if (warmUpSeconds > 0) await new Phase(options, undefined).run(warmUpSeconds)
  const latency = new IntervalLatency()
  onMeasuring()
  const before = sink.producer.stats
  const startedMs = performance.now()
  const phase = new Phase(options, latency)
  const sent = await phase.run(seconds)
  if (!signal.aborted) await within(sink.producer.flush(), drainSeconds, signal)
  const measured = (performance.now() - startedMs) / 1000
  latency.finish(measured * 1000)
  const { recordsDelivered, recordsFailed } = sink.producer.stats
  const acknowledged = recordsDelivered - before.recordsDelivered
  const failed = recordsFailed - before.recordsFailed + phase.refused
  return {
    intended: sent,
    sent,
    acknowledged,
    failed,
    unfinished: Math.max(0, sent - acknowledged - failed),
    seconds: measured,
    latency,
    service: latency.whole,
    lateness: new LatencyRecorder(),
  }
}

class Phase {
  refused = 0
  readonly #options: ClosedLoopOptions
  readonly #latency: IntervalLatency | undefined

  constructor(options: ClosedLoopOptions, latency: IntervalLatency | undefined) {
    this.#options = options
    this.#latency = latency
  }

  /** What it sent. Between phases everything is acknowledged. */
  async run(seconds: number): Promise<number> {
    const { sink, drainSeconds, signal } = this.#options
    const startedMs = performance.now()
    const endMs = startedMs + seconds * 1000
    let sent = 0
    while (performance.now() < endMs && !signal.aborted) {
      if (!sink.hasRoom) {
        await within(sink.ready(), (endMs - performance.now()) / 1000, signal)
        continue
      }
      for (let left = LOOK_EVERY; left > 0 && sink.hasRoom; left--, sent++) this.#send(sent, startedMs)
    }
    if (this.#latency === undefined) await within(sink.producer.flush(), drainSeconds, signal)
    return sent
  }

  #send(index: number, startedMs: number): void {
    const { sink } = this.#options
    const latency = this.#latency
    try {
      if (latency === undefined || index % LATENCY_EVERY !== 0) {
        sink.sendUntimed()
        return
      }
      const sentMs = performance.now()
      sink.send(sentMs).done.then(
        () => {
          const nowMs = performance.now()
          latency.record(nowMs - sentMs, nowMs - startedMs)
        },
        () => {}, // counted by the producer
      )
    } catch {
      this.refused++
    }
  }
}

/** The promise, a time, or the end of everything, whichever comes first. A failure is counted elsewhere. */
export async function within(promise: Promise<unknown>, seconds: number, signal: AbortSignal): Promise<void> {
  let over = () => {}
  const timeUp = new Promise<void>((resolve) => {
    over = resolve
  })
  const timer = setTimeout(over, Math.max(0, seconds) * 1000)
  signal.addEventListener('abort', over, { once: true })
  if (signal.aborted) over()
  try {
    await Promise.race([promise.then(undefined, () => {}), timeUp])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', over)
  }
}
