/**
 * One record at a time: sent, acknowledged and read by a consumer before the next is sent. The time from the call of
 * `send` until both the acknowledgement and the record are here goes into the histogram.
 */
import { Consumer, Producer } from '../../src/client/index.ts'
import { crc32c } from '../../src/native/index.ts'
import { IntervalLatency } from '../load/intervals.ts'
import { LoopDelayMeter } from '../measure/loop-delay.ts'
import { SeriesRecorder } from '../measure/series.ts'
import type { Channel } from './channel.ts'
import { Payloads } from './payloads.ts'
import { acksOption } from './producer.ts'
import type { DriverResult, EndToEndSpec } from './protocol.ts'

export async function runEndToEnd(spec: EndToEndSpec, channel: Channel): Promise<DriverResult> {
  const payloads = new Payloads({ ...spec.payload, crc: (bytes) => crc32c(bytes) })
  const { bootstrap, topic } = spec
  const producer = new Producer({
    bootstrap,
    clientId: 'pagelog-bench-producer',
    acks: acksOption(spec.acks),
    idempotent: false,
    lingerMs: 0,
  })
  const consumer = new Consumer({ bootstrap, clientId: 'pagelog-bench-consumer' })
  consumer.assign([{ topic, partition: 0, offset: 'beginning' }])
  const batches = consumer[Symbol.asyncIterator]()
  let latency = new IntervalLatency()
  let startedMs = performance.now()
  let done = 0

  const once = async () => {
    const value = payloads.values[done % payloads.values.length]!
    const sentMs = performance.now()
    const arriving = batches.next()
    const [received] = await Promise.all([arriving, producer.send({ topic, value, partition: 0 })])
    const nowMs = performance.now()
    if (received.done === true) throw new Error('the consumer ended')
    const cursor = received.value.cursor()
    if (!cursor.next() || !sameBytes(value, cursor.bytes, cursor.valueStart, cursor.valueLength) || cursor.next()) {
      throw new Error(`record ${done} received is not the one sent`)
    }
    done++
    latency.record(nowMs - sentMs, nowMs - startedMs)
  }

  await producer.partitionsOf(topic)
  await channel.send({ type: 'ready' })
  await channel.started
  const warmUntilMs = performance.now() + spec.warmUpSeconds * 1000
  while (performance.now() < warmUntilMs) await once()
  latency = new IntervalLatency()
  const loopDelay = new LoopDelayMeter()
  const series = new SeriesRecorder(() => done)
  const progress = setInterval(() => void channel.send({ type: 'progress', records: latency.whole.count }), 500)
  await channel.send({ type: 'measuring' })
  series.start()
  startedMs = performance.now()
  const untilMs = startedMs + spec.seconds * 1000
  while (latency.whole.count < spec.records && performance.now() < untilMs) await once()
  const seconds = (performance.now() - startedMs) / 1000
  latency.finish(seconds * 1000)
  const points = series.stop()
  await channel.send({ type: 'measured' })
  clearInterval(progress)
  const { recordsFailed, retries } = producer.stats
  await Promise.all([producer.close(), consumer.close()])
  return {
    records: latency.whole.count,
    seconds,
    checksum: payloads.checksumOf(done),
    latency: latency.whole.encode(),
    intervals: latency.intervals,
    series: points,
    errors: recordsFailed,
    retries,
    loopDelay: loopDelay.stop(),
  }
}

function sameBytes(expected: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (length !== expected.length) return false
  for (let i = 0; i < length; i++) if (bytes[start + i] !== expected[i]) return false
  return true
}
