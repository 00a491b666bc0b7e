/** The tests with pagelog's own client or another one for Node.js, on any target. Each function is one run: set up, warm up, measure, drain, verify. */
import { LatencyRecorder, type LatencySummary } from '../measure/latency.ts'
import { sumSeries } from '../measure/series.ts'
import type { ProcessResult, ReplicationResult, RunResult } from '../result.ts'
import { DriverProcess } from './driver-process.ts'
import { addChecksums, type Checksum, difference } from './payloads.ts'
import type { ConsumerSpec, DriverResult, DriverSpec, EndToEndSpec, ProducerSpec } from './protocol.ts'
import {
  createTopic,
  FollowerWatch,
  guard,
  RunWatch,
  type Session,
  type StoredTopic,
  storedBytes,
  withTopic,
} from './session.ts'

/** LinkedIn's buffer.memory, also Kafka's tool's here. */
export const BUFFER_BYTES = 64 * 1024 * 1024
/** Of the tests that have several. */
export const PRODUCERS = 3
export const CONSUMERS = 3

export function producerSpec(session: Session, topic: string): ProducerSpec {
  const { settings, target } = session
  return {
    kind: 'producer',
    client: session.client ?? null,
    bootstrap: target.bootstrap,
    topic,
    partitions: settings.partitions,
    payload: {
      valueBytes: settings.valueBytes,
      seed: settings.payloadSeed,
      poolBytes: settings.payloadPoolBytes,
    },
    acks: settings.acks,
    batchBytes: settings.batchBytes,
    lingerMs: settings.lingerMs,
    bufferBytes: BUFFER_BYTES,
    warmUpSeconds: settings.warmUpSeconds,
    records: settings.records,
    seconds: settings.seconds,
  }
}

export function consumerSpec(session: Session, topic: string, mode: ConsumerSpec['mode']): ConsumerSpec {
  const { settings, target } = session
  return {
    kind: 'consumer',
    client: session.client ?? null,
    bootstrap: target.bootstrap,
    topic,
    partitions: settings.partitions,
    mode,
    warmUpSeconds: settings.warmUpSeconds,
    records: settings.records,
    seconds: settings.seconds,
  }
}

interface Driven {
  readonly results: readonly DriverResult[]
  readonly processes: ProcessResult[]
  readonly watch: RunWatch
  /** From the first that measured to the last that had measured. */
  readonly seconds: number
  readonly replication: ReplicationResult | null
}

async function runOne(session: Session, spec: DriverSpec): Promise<Driven & { readonly result: DriverResult }> {
  const driven = await runTogether(session, [spec])
  return { ...driven, result: driven.results[0]! }
}

/** Drivers from their start to their results, watched while they measure. They begin together. */
async function runTogether(session: Session, specs: readonly DriverSpec[]): Promise<Driven> {
  const records = specs.map(() => 0)
  const drivers = specs.map((spec, i) => {
    const onProgress = (count: number) => {
      records[i] = count
      session.onProgress(
        'measure',
        records.reduce((total, one) => total + one, 0),
      )
    }
    return new DriverProcess(spec, onProgress, specs.length === 1 ? undefined : i + 1)
  })
  try {
    await guard(session, Promise.all(drivers.map(({ ready }) => ready)))
    session.onProgress('warm-up', 0)
    let startedMs = 0
    for (const driver of drivers) {
      driver.measuring.then(
        () => {
          startedMs ||= performance.now()
        },
        () => {},
      )
      driver.tell({ type: 'start' })
    }
    await guard(session, Promise.all(drivers.map(({ measuring }) => measuring)))
    const watch = new RunWatch(session, drivers)
    await watch.start()
    await guard(session, Promise.all(drivers.map(({ measured }) => measured)))
    const seconds = (performance.now() - startedMs) / 1000
    const followers = new FollowerWatch(session, specs[0]!.topic)
    followers.end()
    followers.quiet()
    let processes = await watch.stop()
    session.onProgress('drain', 0)
    const results = await guard(session, Promise.all(drivers.map(({ result }) => result)))
    const replication = await guard(session, followers.result())
    for (const [i, { role }] of drivers.entries()) processes = withLoopDelay(processes, role, results[i]!)
    return { results, processes, watch, seconds, replication }
  } finally {
    await Promise.all(drivers.map((driver) => driver.end()))
  }
}

function withLoopDelay(processes: ProcessResult[], role: string, result: DriverResult): ProcessResult[] {
  return processes.map((one) => (one.role === role ? { ...one, eventLoopDelayMs: result.loopDelay } : one))
}

function latencyOf(results: readonly DriverResult[]): LatencySummary | null {
  const merged = new LatencyRecorder()
  for (const { latency } of results) if (latency !== '') merged.merge(latency)
  return merged.summary() ?? null
}

function runResult(
  session: Session,
  result: DriverResult,
  rest: Pick<RunResult, 'processes' | 'verified' | 'storedBytesPerRecord' | 'replication' | 'io'>,
): RunResult {
  const latency = latencyOf([result])
  return {
    recordsPerSecond: result.records / result.seconds,
    records: result.records,
    seconds: result.seconds,
    latencyMs: latency,
    serviceTimeMs: latency,
    series: result.series,
    errors: result.errors,
    retries: result.retries,
    warmUpSeconds: session.settings.warmUpSeconds,
    writeBackQuiet: null,
    ...(result.intervals === undefined ? {} : { intervals: result.intervals }),
    ...rest,
    ...(session.target.dataDirectory === null ? { storedBytesPerRecord: null, io: null } : {}),
  }
}

export async function singleProducer(session: Session): Promise<RunResult> {
  const topic = newTopic('producer')
  return withTopic(session, { topic, partitions: session.settings.partitions }, async () => {
    const { result, processes, watch, replication } = await runOne(session, producerSpec(session, topic))
    const stored = await verifyStored(session, topic, [result])
    const io = watch.io(stored.storedBytesPerRecord, { produced: result.records })
    return runResult(session, result, { processes, io, replication, ...stored })
  })
}

/** Each with values of its own; the rate is that of all together, from the first's beginning to the last's end. */
export async function threeProducers(session: Session): Promise<RunResult> {
  const topic = newTopic('producers')
  const one = producerSpec(session, topic)
  const records = Math.ceil(session.settings.records / PRODUCERS)
  const specs = Array.from({ length: PRODUCERS }, (_, i) => {
    return { ...one, records, payload: { ...one.payload, seed: one.payload.seed + i } }
  })
  return withTopic(session, { topic, partitions: session.settings.partitions }, async () => {
    const { results, processes, watch, seconds, replication } = await runTogether(session, specs)
    const stored = await verifyStored(session, topic, results)
    const all = allOf(results, seconds)
    const latency = latencyOf(results)
    const io = watch.io(stored.storedBytesPerRecord, { produced: all.records })
    const run = runResult(session, all, { processes, io, replication, ...stored })
    return { ...run, latencyMs: latency, serviceTimeMs: latency }
  })
}

/** What several of a kind came to together. */
function allOf(results: readonly DriverResult[], seconds: number): DriverResult {
  const sum = (of: (result: DriverResult) => number) => results.reduce((total, result) => total + of(result), 0)
  return {
    ...results[0]!,
    records: sum((result) => result.records),
    seconds,
    series: sumSeries(results.map(({ series }) => series)),
    errors: 0,
    retries: sum(({ retries }) => retries),
  }
}

/** All was acknowledged, and what is stored is that. */
async function verifyStored(
  session: Session,
  topic: string,
  results: readonly DriverResult[],
): Promise<{ verified: true; storedBytesPerRecord: number }> {
  const errors = results.reduce((total, result) => total + result.errors, 0)
  if (errors > 0) throw new Error(`${errors} records were not acknowledged`)
  const acknowledged = addChecksums(results.map(({ checksum }) => checksum))
  const storedBytesPerRecord = storedBytes(session.target.dataDirectory, topic) / acknowledged.records
  return { verified: await readBack(session, topic, acknowledged), storedBytesPerRecord }
}

/** Reads all of a topic once, outside of what is measured, and compares it with what was acknowledged. */
async function readBack(session: Session, topic: string, acknowledged: Checksum): Promise<true> {
  const spec = { ...consumerSpec(session, topic, 'follow'), client: null, warmUpSeconds: 0 }
  const driver = new DriverProcess(spec, () => {})
  try {
    await guard(session, driver.ready)
    driver.tell({ type: 'start' })
    driver.tell({ type: 'finish', records: acknowledged.records })
    const { checksum } = await guard(session, driver.result)
    const wrong = difference(acknowledged, checksum)
    if (wrong !== undefined) throw new Error(`what was stored is not what was acknowledged: ${wrong}`)
    return true
  } finally {
    await driver.end()
  }
}

/** Stores `records` to be read by single-consumer runs of this target. Not measured. */
export async function fillTopic(session: Session, records: number): Promise<StoredTopic> {
  const topic = newTopic('consumer')
  await createTopic(session, topic, session.settings.partitions)
  const spec = { ...producerSpec(session, topic), client: null, warmUpSeconds: 0, records, seconds: 600 }
  const driver = new DriverProcess(spec, (count) => session.onProgress('fill', count))
  try {
    await guard(session, driver.ready)
    driver.tell({ type: 'start' })
    const { checksum, errors } = await guard(session, driver.result)
    if (errors > 0 || checksum.records !== records) throw new Error(`${errors} records could not be stored`)
    return { topic, checksum }
  } finally {
    await driver.end()
  }
}

export async function singleConsumer(session: Session, stored: StoredTopic): Promise<RunResult> {
  return consumers(session, stored, 1)
}

/** Each reads all that is stored; the rate is that of all together, from the first's beginning to the last's end. */
export async function threeConsumers(session: Session, stored: StoredTopic): Promise<RunResult> {
  return consumers(session, stored, CONSUMERS)
}

async function consumers(session: Session, stored: StoredTopic, count: number): Promise<RunResult> {
  const specs = Array.from({ length: count }, () => consumerSpec(session, stored.topic, 'laps'))
  const { results, processes, watch, seconds } = await runTogether(session, specs)
  for (const { checksum, isPart } of results) {
    const wrong = isPart === true ? undefined : difference(stored.checksum, checksum)
    if (wrong !== undefined) throw new Error(`what was read is not what was acknowledged: ${wrong}`)
  }
  const isWhole = results.every(({ isPart }) => isPart !== true)
  const result = count === 1 ? results[0]! : allOf(results, seconds)
  const bytes = storedBytes(session.target.dataDirectory, stored.topic)
  const storedBytesPerRecord = bytes / stored.checksum.records
  const io = watch.io(storedBytesPerRecord, { consumed: result.records })
  return runResult(session, result, {
    ...{ processes, io, storedBytesPerRecord, replication: null },
    // Of a part, which is all that a slow client reads in its time, nobody knows what it must add up to.
    verified: isWhole ? true : null,
  })
}

/**
 * A producer at full speed and a consumer that follows it. The rate is the smaller of the two in the measured phase; the
 * consumer's ends when the producer's last record is acknowledged, so a consumer that falls behind shows.
 */
export function producerAndConsumer(session: Session): Promise<RunResult> {
  const topic = newTopic('both')
  return withTopic(session, { topic, partitions: session.settings.partitions }, () => bothOn(session, topic))
}

async function bothOn(session: Session, topic: string): Promise<RunResult> {
  const producer = new DriverProcess(producerSpec(session, topic), () => {})
  const consumer = new DriverProcess(consumerSpec(session, topic, 'follow'), (n) => session.onProgress('measure', n))
  try {
    await guard(session, Promise.all([producer.ready, consumer.ready]))
    session.onProgress('warm-up', 0)
    consumer.tell({ type: 'start' })
    producer.tell({ type: 'start' })
    await guard(session, producer.measuring)
    consumer.tell({ type: 'measure' })
    const watch = new RunWatch(session, [producer, consumer])
    await watch.start()
    await guard(session, producer.measured)
    const followers = new FollowerWatch(session, topic)
    followers.end()
    followers.quiet()
    consumer.tell({ type: 'measured' })
    const processes = await watch.stop()
    session.onProgress('drain', 0)
    const produced = await guard(session, producer.result)
    consumer.tell({ type: 'finish', records: produced.checksum.records })
    const consumed = await guard(session, consumer.result)
    const wrong = difference(produced.checksum, consumed.checksum)
    if (wrong !== undefined) throw new Error(`what was consumed is not what was acknowledged: ${wrong}`)
    const replication = await guard(session, followers.result())
    const bytes = storedBytes(session.target.dataDirectory, topic)
    const slower = consumed.records / consumed.seconds < produced.records / produced.seconds ? consumed : produced
    const storedBytesPerRecord = bytes / produced.checksum.records
    const both = { ...produced, records: slower.records, seconds: slower.seconds, series: slower.series }
    return runResult(session, both, {
      processes: withLoopDelay(withLoopDelay(processes, 'producer', produced), 'consumer', consumed),
      io: watch.io(storedBytesPerRecord, { produced: produced.records, consumed: consumed.records }),
      verified: true,
      storedBytesPerRecord,
      replication,
    })
  } finally {
    await Promise.all([producer.end(), consumer.end()])
  }
}

export function endToEnd(session: Session): Promise<RunResult> {
  const topic = newTopic('end-to-end')
  return withTopic(session, { topic, partitions: 1 }, () => endToEndOn(session, topic))
}

export function endToEndSpec({ settings, target }: Session, topic: string): EndToEndSpec {
  return {
    kind: 'end-to-end',
    bootstrap: target.bootstrap,
    topic,
    // One value at a time: a small pool is as good as a large one.
    payload: { valueBytes: settings.valueBytes, seed: settings.payloadSeed, poolBytes: 1024 * 1024 },
    acks: settings.acks,
    warmUpSeconds: settings.warmUpSeconds,
    records: settings.latencyRecords,
    seconds: settings.seconds * 3,
  }
}

async function endToEndOn(session: Session, topic: string): Promise<RunResult> {
  const { target } = session
  const { result, processes, watch, replication } = await runOne(session, endToEndSpec(session, topic))
  if (result.errors > 0) throw new Error(`${result.errors} records were not acknowledged`)
  const storedBytesPerRecord = storedBytes(target.dataDirectory, topic) / result.checksum.records
  return runResult(session, result, {
    processes,
    io: watch.io(storedBytesPerRecord, { produced: result.records, consumed: result.records }),
    verified: true,
    storedBytesPerRecord,
    replication,
  })
}

let topics = 0

export function newTopic(kind: string): string {
  return `bench-${kind}-${process.pid}-${topics++}`
}
