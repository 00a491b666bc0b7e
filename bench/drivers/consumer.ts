/**
 * A consumer as an application would write it: batches by `for await`, records by the batch's cursor, of each record
 * the length and the first byte of the value read. The client checks every batch's CRC.
 */
import { Consumer } from '../../src/client/index.ts'
import { crc32c } from '../../src/native/index.ts'
import { LoopDelayMeter } from '../measure/loop-delay.ts'
import { SeriesRecorder } from '../measure/series.ts'
import type { Channel } from './channel.ts'
import { endOffsets, lapStart } from './laps.ts'
import { addChecksums, type Checksum, difference, isSampled } from './payloads.ts'
import type { ConsumerSpec, DriverResult } from './protocol.ts'

type Batch = Consumer extends AsyncIterable<infer Item> ? Item : never

/** Sums of one partition's records, of one lap. */
class PartitionSums {
  records = 0
  bytes = 0
  firstBytes = 0
  sampled = 0

  add(batch: Batch): void {
    const cursor = batch.cursor()
    const bytes = cursor.bytes
    let records = 0
    let length = 0
    let firstBytes = 0
    while (cursor.next()) {
      const start = cursor.valueStart
      const size = cursor.valueLength
      records++
      length += size
      firstBytes += bytes[start]!
      if (bytes[start] === 0x5a && isSampled(bytes, start, size)) this.sampled += crc32c(bytes, start, start + size)
    }
    this.records += records
    this.bytes += length
    this.firstBytes += firstBytes
  }

  take(): Checksum {
    const { records, bytes, firstBytes, sampled } = this
    this.records = this.bytes = this.firstBytes = this.sampled = 0
    return { records, bytes, firstBytes, sampled }
  }
}

/** Phases by time and count, and what the harness is told about them. */
export class ConsumerPhases {
  received = 0
  #phase: 'warm-up' | 'measuring' | 'measured' = 'warm-up'
  readonly #spec: ConsumerSpec
  readonly #channel: Channel
  readonly #series = new SeriesRecorder(() => this.received)
  readonly #warmUntilMs: number
  #loopDelay: LoopDelayMeter | undefined
  #startedMs = 0
  #startedAt = 0
  #progress: NodeJS.Timeout | undefined
  result: Pick<DriverResult, 'records' | 'seconds' | 'series' | 'loopDelay'> | undefined

  constructor(spec: ConsumerSpec, channel: Channel) {
    this.#spec = spec
    this.#channel = channel
    this.#warmUntilMs = performance.now() + spec.warmUpSeconds * 1000
  }

  get isMeasured(): boolean {
    return this.#phase === 'measured'
  }

  /** Called after each batch; a follower's phases are the harness's. */
  look(): void {
    if (this.#spec.mode === 'follow') return
    const nowMs = performance.now()
    if (this.#phase === 'warm-up' && nowMs >= this.#warmUntilMs) this.begin()
    else if (this.#phase === 'measuring') {
      const records = this.received - this.#startedAt
      if (records >= this.#spec.records || nowMs - this.#startedMs >= this.#spec.seconds * 1000) this.end()
    }
  }

  /** Begins the measured phase, once. */
  begin(): void {
    if (this.#phase !== 'warm-up') return
    this.#phase = 'measuring'
    this.#startedMs = performance.now()
    this.#startedAt = this.received
    this.#loopDelay = new LoopDelayMeter()
    this.#series.start()
    this.#progress = setInterval(() => {
      void this.#channel.send({ type: 'progress', records: this.received - this.#startedAt })
    }, 500)
    void this.#channel.send({ type: 'measuring' })
  }

  /** Ends the measured phase, once. */
  end(): void {
    if (this.#phase !== 'measuring') return
    this.#phase = 'measured'
    clearInterval(this.#progress)
    this.result = {
      records: this.received - this.#startedAt,
      seconds: (performance.now() - this.#startedMs) / 1000,
      series: this.#series.stop(),
      loopDelay: this.#loopDelay?.stop() ?? null,
    }
    void this.#channel.send({ type: 'measured' })
  }
}

export async function runConsumer(spec: ConsumerSpec, channel: Channel): Promise<DriverResult> {
  const ends = spec.mode === 'laps' ? await endOffsets(spec) : undefined
  const consumer = new Consumer({
    bootstrap: spec.bootstrap,
    clientId: 'pagelog-bench-consumer',
    checkCrcs: true,
    autoOffsetReset: 'earliest',
    // No batch is looked at after the next one was asked for, so the client may use its memory again.
    reuseBuffers: true,
  })
  const partitions = Array.from({ length: spec.partitions }, (_, partition) => partition)
  consumer.assign(
    partitions.map((partition) => {
      return { topic: spec.topic, partition, offset: ends === undefined ? 'beginning' : lapStart(ends, partition) }
    }),
  )
  await channel.send({ type: 'ready' })
  await channel.started
  const phases = new ConsumerPhases(spec, channel)
  const checksum =
    ends === undefined
      ? await follow(consumer, spec, channel, phases)
      : await readLaps(consumer, spec.topic, ends, phases)
  await consumer.close()
  // A follower that is only to compare (no warm-up, nothing to measure) has no figures.
  const figures = phases.result ?? { records: 0, seconds: 0, series: [], loopDelay: null }
  return { ...figures, checksum, latency: '', errors: 0, retries: 0 }
}

/**
 * Reads each partition again and again until the measured phase is over, then to its end; the sums of one lap, each lap's
 * compared. The first is none where it did not begin at the beginning.
 */
async function readLaps(consumer: Consumer, topic: string, ends: number[], phases: ConsumerPhases): Promise<Checksum> {
  const sums = ends.map(() => new PartitionSums())
  const laps: (Checksum | undefined)[] = ends.map((end) =>
    end === 0 ? { records: 0, bytes: 0, firstBytes: 0, sampled: 0 } : undefined,
  )
  const isWhole = ends.map((_, partition) => lapStart(ends, partition) === 0)
  let open = ends.filter((end) => end > 0).length
  for await (const batch of consumer) {
    const { partition } = batch
    sums[partition]!.add(batch)
    phases.received += batch.recordCount
    phases.look()
    if (batch.lastOffset + 1 < ends[partition]!) continue
    const lap = sums[partition]!.take()
    if (!isWhole[partition]) {
      isWhole[partition] = true
      consumer.seek(topic, partition, 'beginning')
      continue
    }
    const first = laps[partition]
    const wrong = first === undefined ? undefined : difference(first, lap)
    if (wrong !== undefined) throw new Error(`partition ${partition} read again differs: ${wrong}`)
    laps[partition] = lap
    if (!phases.isMeasured) consumer.seek(topic, partition, 'beginning')
    else if (--open === 0) break
  }
  return addChecksums(laps.filter((lap) => lap !== undefined))
}

/** Reads each record once until as many are here as the harness says there are. */
async function follow(
  consumer: Consumer,
  spec: ConsumerSpec,
  channel: Channel,
  phases: ConsumerPhases,
): Promise<Checksum> {
  const sums = Array.from({ length: spec.partitions }, () => new PartitionSums())
  let wanted = Number.MAX_SAFE_INTEGER
  void channel.measure.then(() => phases.begin())
  void channel.measured.then(() => phases.end())
  void channel.finished.then((records) => {
    wanted = records
    // With everything read already no further batch would come: closing ends the iteration below.
    if (phases.received >= wanted) void consumer.close()
  })
  for await (const batch of consumer) {
    sums[batch.partition]!.add(batch)
    phases.received += batch.recordCount
    phases.look()
    if (phases.received >= wanted) break
  }
  return addChecksums(sums.map((sum) => sum.take()))
}
