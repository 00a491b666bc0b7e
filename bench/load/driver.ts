/** A process of a load: `node dist/bench/load/driver.js '<LoadSpec as JSON>'`, with an IPC channel to the harness. */
import { Consumer } from '../../src/client/index.ts'
import { LatencyRecorder } from '../measure/latency.ts'
import { LoopDelayMeter } from '../measure/loop-delay.ts'
import { SeriesRecorder } from '../measure/series.ts'
import { withResolvers } from '../process/resolvers.ts'
import { arrivalsOf, secondsOf } from './arrivals.ts'
import { closedLoop, within } from './closed-loop.ts'
import { OpenLoop, type OpenLoopResult } from './open-loop.ts'
import { measureOverhead } from './overhead.ts'
import { nodePace } from './pace.ts'
import { ProducerSink } from './producer-sink.ts'
import type {
  FromLoadDriver,
  LoadConsumerResult,
  LoadConsumerSpec,
  LoadProducerResult,
  LoadProducerSpec,
  LoadSpec,
  ToLoadDriver,
} from './protocol.ts'
import { monotonicOffsetMs } from './stamp.ts'
import { Verifier } from './verification.ts'

const PROGRESS_MS = 500
const CLOSE_SECONDS_MAX = 2
const LATE_DUPLICATES_MS = 200

type Finish = Extract<ToLoadDriver, { type: 'finish' }>

/** The driver's end of the channel; a driver whose harness is gone ends at once. */
class Harness {
  readonly stop = new AbortController()
  readonly #start = withResolvers<void>()
  readonly #measure = withResolvers<void>()
  readonly #finish = withResolvers<Finish>()
  readonly started = this.#start.promise
  readonly measure = this.#measure.promise
  readonly finish = this.#finish.promise

  constructor() {
    process.once('disconnect', () => process.exit(1))
    process.on('message', (message: ToLoadDriver) => {
      if (message.type === 'start') this.#start.resolve()
      else if (message.type === 'measure') this.#measure.resolve()
      else if (message.type === 'finish') this.#finish.resolve(message)
      else {
        this.#start.resolve()
        this.stop.abort()
      }
    })
  }

  say(message: FromLoadDriver): Promise<void> {
    return new Promise((resolve) => {
      if (process.send === undefined) resolve()
      else process.send(message, undefined, {}, () => resolve())
    })
  }
}

async function produce(spec: LoadProducerSpec, harness: Harness): Promise<LoadProducerResult> {
  const sink = new ProducerSink(spec)
  const { producer } = sink
  const overhead = spec.arrivals === null ? null : await measureOverhead()
  await producer.partitionsOf(spec.topic)
  await harness.say({ type: 'ready' })
  await harness.started
  const { signal } = harness.stop
  const series = new SeriesRecorder(() => producer.stats.recordsDelivered)
  let loopDelay: LoopDelayMeter | undefined
  const progress = setInterval(() => {
    void harness.say({ type: 'progress', records: producer.stats.recordsDelivered })
  }, PROGRESS_MS)
  const onMeasuring = () => {
    loopDelay = new LoopDelayMeter()
    series.start()
    void harness.say({ type: 'measuring' })
  }
  const { warmUpSeconds, seconds, drainSeconds, arrivals } = spec
  let result: OpenLoopResult
  if (arrivals === null) {
    result = await closedLoop({ sink, warmUpSeconds, seconds, drainSeconds, signal, onMeasuring })
  } else {
    const loop = new OpenLoop({
      arrivals: arrivalsOf(arrivals),
      pace: nodePace(spec.pacing),
      sink,
      warmUpMs: warmUpSeconds * 1000,
      endMs: secondsOf(arrivals) * 1000,
      drainMs: drainSeconds * 1000,
      signal,
      onMeasuring,
    })
    result = await loop.run()
  }
  clearInterval(progress)
  const points = loopDelay === undefined ? [] : series.stop()
  const { recordsDelivered, retries } = producer.stats
  const all = sink.sentRecords(spec.producer)
  await within(producer.close(), CLOSE_SECONDS_MAX, new AbortController().signal)
  const { intended, sent, acknowledged, failed, unfinished } = result
  return {
    kind: 'producer',
    intended,
    sent,
    acknowledged,
    failed,
    unfinished,
    seconds: result.seconds,
    bytesPerValue: sink.bytesPerValue,
    latency: encoded(result.latency.whole),
    service: encoded(result.service),
    lateness: encoded(result.lateness),
    intervals: result.latency.intervals,
    series: points,
    overhead,
    retries,
    lastError: sink.lastError,
    loopDelay: loopDelay?.stop() ?? null,
    all,
    allAcknowledged: recordsDelivered,
  }
}

function encoded(recorder: LatencyRecorder): string {
  return recorder.count === 0 ? '' : recorder.encode()
}

/** Reads everything as it comes, until as many are here as were acknowledged, or nothing comes any more. */
async function consume(spec: LoadConsumerSpec, harness: Harness): Promise<LoadConsumerResult> {
  const { bootstrap, topic } = spec
  const consumer = new Consumer({
    bootstrap,
    clientId: 'pagelog-bench-load-reader',
    autoOffsetReset: 'earliest',
    reuseBuffers: true,
  })
  const partitions = Array.from({ length: spec.partitions }, (_, partition) => partition)
  consumer.assign(partitions.map((partition) => ({ topic, partition, offset: 'beginning' as const })))
  const verifier = new Verifier()
  const endToEnd = new LatencyRecorder()
  const offsetMs = monotonicOffsetMs()
  let sinceMs = Number.POSITIVE_INFINITY
  let lastMs = performance.now()
  void harness.measure.then(() => {
    sinceMs = performance.now() + offsetMs
  })
  await harness.say({ type: 'ready' })
  const reading = (async () => {
    for await (const batch of consumer) {
      lastMs = performance.now()
      const cursor = batch.cursor()
      while (cursor.next()) {
        const { offset, bytes, valueStart, valueLength } = cursor
        const stamp = verifier.add(batch.partition, offset, bytes, valueStart, valueLength)
        if (stamp !== undefined && stamp.intendedMs >= sinceMs) endToEnd.record(lastMs + offsetMs - stamp.intendedMs)
      }
    }
  })()
  const loopDelay = new LoopDelayMeter()
  const finish = await Promise.race([harness.finish, reading.then(() => harness.finish)])
  lastMs = performance.now()
  for (;;) {
    // A duplicate may come after the last of those that are waited for.
    const quietMs = verifier.received < finish.acknowledged ? spec.drainSeconds * 1000 : LATE_DUPLICATES_MS
    if (performance.now() - lastMs > quietMs || harness.stop.signal.aborted) break
    await within(reading, 0.05, harness.stop.signal)
  }
  const delay = loopDelay.stop()
  await within(consumer.close(), CLOSE_SECONDS_MAX, new AbortController().signal)
  return {
    kind: 'consumer',
    verification: verifier.finish(finish.sent),
    endToEnd: encoded(endToEnd),
    loopDelay: delay,
  }
}

const harness = new Harness()
try {
  const spec = JSON.parse(process.argv[2] ?? '') as LoadSpec
  const result = await (spec.kind === 'producer' ? produce(spec, harness) : consume(spec, harness))
  await harness.say({ type: 'result', result })
  process.exit(0)
} catch (error) {
  await harness.say({ type: 'error', message: error instanceof Error ? error.message : String(error) })
  process.exit(1)
}
