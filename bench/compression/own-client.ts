/** Our producer and consumer as programs: `node own-client.js '<ClientSpec as JSON>'`. */
import { Consumer, Producer } from '../../src/client/index.ts'
import { nodeEnv, nodeWorkers, type Workers } from '../../src/env/index.ts'
import type { CodecName } from '../../src/record/index.ts'
import { endOffsets, lapStart } from '../drivers/laps.ts'
import { LatencyRecorder } from '../measure/latency.ts'
import { LoopDelayMeter } from '../measure/loop-delay.ts'
import { readPayloadFile } from './payloads.ts'
import type { ClientResult, ClientSpec, ConsumeSpec, ProduceSpec } from './protocol.ts'

const LATENCY_EVERY = 1009
const LOOK_EVERY = 1024
/** Between two steps of a producer that keeps to a rate. */
const PACE_MS = 2
const NEVER_IN_WORKERS = 2_147_483_647

/** Threads of its own, as many as asked for: 0 keeps everything on the event loop. */
function workersOf(spec: ClientSpec): { readonly workers: Workers; readonly workerMinBytes: number } {
  const count = spec.workers ?? 0
  const workers = nodeWorkers({ threadsMax: Math.max(1, count) })
  return { workers, workerMinBytes: count === 0 ? NEVER_IN_WORKERS : (spec.workerMinBytes ?? -1) }
}

class Sending {
  readonly #producer: Producer
  readonly #spec: ProduceSpec
  readonly #values: readonly Uint8Array[]
  readonly latency = new LatencyRecorder()
  #next = 0
  bytes = 0

  constructor(producer: Producer, spec: ProduceSpec, values: readonly Uint8Array[]) {
    this.#producer = producer
    this.#spec = spec
    this.#values = values
  }

  /** For so long; then until everything is acknowledged. */
  async run(seconds: number): Promise<{ readonly records: number; readonly seconds: number }> {
    const producer = this.#producer
    const startedMs = performance.now()
    const endMs = startedMs + seconds * 1000
    let sent = 0
    for (let nowMs = startedMs; nowMs < endMs; nowMs = performance.now()) {
      if (!producer.hasRoom) await producer.ready()
      let due = LOOK_EVERY
      if (this.#spec.rate > 0) {
        due = Math.floor(((nowMs - startedMs) / 1000) * this.#spec.rate) - sent
        if (due <= 0) {
          await new Promise((go) => setTimeout(go, PACE_MS))
          continue
        }
      }
      for (let left = due; left > 0 && producer.hasRoom; left--) this.#send(sent++)
    }
    await producer.flush()
    return { records: sent, seconds: (performance.now() - startedMs) / 1000 }
  }

  #send(index: number): void {
    const value = this.#values[this.#next]!
    this.#next = this.#next + 1 === this.#values.length ? 0 : this.#next + 1
    this.bytes += value.length
    const record = { topic: this.#spec.topic, value }
    if (index % LATENCY_EVERY !== 0) {
      this.#producer.send(record)
      return
    }
    const sentMs = performance.now()
    this.#producer.send(record).then(
      () => this.latency.record(performance.now() - sentMs),
      () => {}, // counted by the producer
    )
  }
}

async function produce(spec: ProduceSpec): Promise<ClientResult> {
  const values = readPayloadFile(spec.payloadFile)
  const { workers, workerMinBytes } = workersOf(spec)
  const level = spec.level === undefined ? {} : levelOption(spec.codec, spec.level)
  const producer = new Producer({
    bootstrap: spec.bootstrap,
    acks: 1,
    idempotent: false,
    compressionType: spec.codec as CodecName,
    ...level,
    batchBytes: spec.batchBytes,
    lingerMs: spec.lingerMs,
    bufferBytes: spec.bufferBytes,
    compressionWorkerMinBytes: workerMinBytes,
    env: { ...nodeEnv(), workers },
  })
  const sending = new Sending(producer, spec, values)
  await producer.partitionsOf(spec.topic)
  if (spec.warmUpSeconds > 0) await sending.run(spec.warmUpSeconds)
  process.stdout.write('measuring\n')
  sending.bytes = 0
  sending.latency.reset()
  const loopDelay = new LoopDelayMeter()
  const { records, seconds } = await sending.run(spec.seconds)
  const delay = loopDelay.stop()
  const errors = producer.stats.recordsFailed
  await producer.close()
  await workers.close()
  const latencyMs = sending.latency.summary() ?? null
  return { records, bytes: sending.bytes, seconds, latencyMs, loopDelay: delay, errors, client: 'pagelog' }
}

function levelOption(codec: string, level: number): Record<string, number> {
  const names: Readonly<Record<string, string>> = {
    gzip: 'compressionGzipLevel',
    lz4: 'compressionLz4Level',
    zstd: 'compressionZstdLevel',
  }
  const name = names[codec]
  return name === undefined ? {} : { [name]: level }
}

/** Everything that is stored, again and again until the time is over. */
async function consume(spec: ConsumeSpec): Promise<ClientResult> {
  const { workers, workerMinBytes } = workersOf(spec)
  const consumer = new Consumer({
    bootstrap: spec.bootstrap,
    autoOffsetReset: 'earliest',
    fetchMaxBytes: spec.fetchMaxBytes,
    maxPartitionFetchBytes: spec.partitionFetchMaxBytes,
    compressionWorkerMinBytes: workerMinBytes,
    reuseBuffers: true,
    env: { ...nodeEnv(), workers },
  })
  const { topic } = spec
  const ends = await endOffsets(spec)
  consumer.assign(ends.map((_, partition) => ({ topic, partition, offset: lapStart(ends, partition) })))
  let phase: 'warm-up' | 'measuring' = 'warm-up'
  let untilMs = performance.now() + spec.warmUpSeconds * 1000
  let startedMs = 0
  let loopDelay: LoopDelayMeter | undefined
  let records = 0
  let bytes = 0
  let firstBytes = 0
  for await (const batch of consumer) {
    const cursor = batch.cursor()
    const from = cursor.bytes
    while (cursor.next()) {
      bytes += cursor.valueLength
      firstBytes += from[cursor.valueStart]!
    }
    records += batch.recordCount
    if (batch.lastOffset + 1 >= ends[batch.partition]!) consumer.seek(topic, batch.partition, 'beginning')
    const nowMs = performance.now()
    if (nowMs < untilMs) continue
    if (phase === 'measuring') {
      const delay = loopDelay?.stop() ?? null
      await consumer.close()
      await workers.close()
      const seconds = (nowMs - startedMs) / 1000
      return { records, bytes, seconds, firstBytes, loopDelay: delay, errors: 0, client: 'pagelog' }
    }
    phase = 'measuring'
    process.stdout.write('measuring\n')
    loopDelay = new LoopDelayMeter()
    startedMs = performance.now()
    untilMs = startedMs + spec.seconds * 1000
    records = bytes = firstBytes = 0
  }
  throw new Error('the consumer ended')
}

const spec = JSON.parse(process.argv[2] ?? '') as ClientSpec
const result = await (spec.kind === 'produce' ? produce(spec) : consume(spec))
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
