/** librdkafka's driver is a C program (peers/librdkafka/drive.c): what it is told on its command line, and its result as every driver has it. */
import { LatencyRecorder } from '../measure/latency.ts'
import { toSeries } from '../measure/series.ts'
import { queueBounds } from '../peers/librdkafka.ts'
import type { ConsumerSpec, DriverResult, ProducerSpec } from './protocol.ts'

export interface RawResult extends Omit<DriverResult, 'latency' | 'series' | 'loopDelay'> {
  readonly readings: readonly { readonly atMs: number; readonly count: number }[]
  readonly latenciesMs: readonly number[]
}

export function librdkafkaArgs(spec: ProducerSpec | ConsumerSpec): string[] {
  const { kind, topic, partitions, warmUpSeconds, records, seconds } = spec
  const own =
    spec.kind === 'producer' ? [spec.payload.seed, spec.payload.valueBytes, spec.payload.poolBytes] : [spec.mode]
  const properties = Object.entries({
    'bootstrap.servers': spec.bootstrap,
    ...(spec.kind === 'producer' ? producerProperties(spec) : consumerProperties),
  })
  return [
    ...[
      spec.client?.library ?? 'librdkafka.so.1',
      kind,
      topic,
      partitions,
      warmUpSeconds,
      records,
      seconds,
      ...own,
    ].map(String),
    ...properties.map(([name, value]) => `${name}=${value}`),
  ]
}

/** Also node-rdkafka's. */
export function producerProperties(spec: ProducerSpec): Record<string, string | number> {
  return {
    acks: spec.acks,
    'batch.size': spec.batchBytes,
    'linger.ms': spec.lingerMs,
    // It counts more than the values.
    'queue.buffering.max.kbytes': spec.bufferBytes >> 9,
    ...queueBounds,
  }
}

/**
 * Also node-rdkafka's. With its default of 100,000 its queue is full before the application has emptied it, and then it fetches nothing for
 * a second (fetch.queue.backoff.ms); its own perf tool asks for as many.
 */
export const consumerProperties = { 'check.crcs': true, 'queued.min.messages': 1_000_000 } as const

export function fromRaw({ readings, latenciesMs, ...result }: RawResult): DriverResult {
  const latency = new LatencyRecorder()
  for (const milliseconds of latenciesMs) latency.record(milliseconds)
  return {
    ...result,
    latency: latency.count === 0 ? '' : latency.encode(),
    series: toSeries(readings),
    loopDelay: null,
  }
}
