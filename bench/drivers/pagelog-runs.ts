/** The tests with pagelog's own client, on any target. Each function is one run: set up, warm up, measure, drain, verify. */
import { LatencyRecorder, type LatencySummary } from '../measure/latency.ts'
import type { ProcessResult, RunResult } from '../result.ts'
import { DriverProcess } from './driver-process.ts'
import { type Checksum, difference } from './payloads.ts'
import type { ConsumerSpec, DriverResult, DriverSpec, ProducerSpec } from './protocol.ts'
import { createTopic, deleteTopic, guard, RunWatch, type Session, type StoredTopic, storedBytes } from './session.ts'

/** LinkedIn's buffer.memory, also Kafka's tool's here. */
export const BUFFER_BYTES = 64 * 1024 * 1024

function producerSpec(session: Session, topic: string): ProducerSpec {
  const { settings, target } = session
  return {
    kind: 'producer',
    bootstrap: target.bootstrap,
    topic,
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

function consumerSpec(session: Session, topic: string, mode: ConsumerSpec['mode']): ConsumerSpec {
  const { settings, target } = session
  return {
    kind: 'consumer',
    bootstrap: target.bootstrap,
    topic,
    partitions: settings.partitions,
    mode,
    warmUpSeconds: settings.warmUpSeconds,
    records: settings.records,
    seconds: settings.seconds,
  }
}

/** One driver from its start to its result, watched while it measures. */
async function runOne(
  session: Session,
  spec: DriverSpec,
): Promise<{ result: DriverResult; processes: ProcessResult[] }> {
  const driver = new DriverProcess(spec, (records) => session.onProgress('measure', records))
  try {
    await guard(session, driver.ready)
    session.onProgress('warm-up', 0)
    driver.tell({ type: 'start' })
    await guard(session, driver.measuring)
    const watch = new RunWatch(session, [driver])
    await watch.start()
    await guard(session, driver.measured)
    const processes = await watch.stop()
    session.onProgress('drain', 0)
    const result = await guard(session, driver.result)
    return { result, processes: withLoopDelay(processes, driver.role, result) }
  } finally {
    await driver.end()
  }
}

function withLoopDelay(processes: ProcessResult[], role: string, result: DriverResult): ProcessResult[] {
  return processes.map((one) => (one.role === role ? { ...one, eventLoopDelayMs: result.loopDelay } : one))
}

function latencyOf(result: DriverResult): LatencySummary | null {
  if (result.latency === '') return null
  const merged = new LatencyRecorder()
  merged.merge(result.latency)
  return merged.summary() ?? null
}

function runResult(
  session: Session,
  result: DriverResult,
  rest: Pick<RunResult, 'processes' | 'verified' | 'storedBytesPerRecord'>,
): RunResult {
  const latency = latencyOf(result)
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
    ...rest,
  }
}

export async function singleProducer(session: Session): Promise<RunResult> {
  const topic = newTopic('producer')
  await createTopic(session, topic, session.settings.partitions)
  const { result, processes } = await runOne(session, producerSpec(session, topic))
  if (result.errors > 0) throw new Error(`${result.errors} records were not acknowledged`)
  const storedBytesPerRecord = storedBytes(session.target.dataDirectory, topic) / result.checksum.records
  const verified = await readBack(session, topic, result.checksum)
  await deleteTopic(session, topic)
  return runResult(session, result, { processes, verified, storedBytesPerRecord })
}

/** Reads all of a topic once, outside of what is measured, and compares it with what was acknowledged. */
async function readBack(session: Session, topic: string, acknowledged: Checksum): Promise<true> {
  const spec = { ...consumerSpec(session, topic, 'follow'), warmUpSeconds: 0 }
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
  const spec = { ...producerSpec(session, topic), warmUpSeconds: 0, records, seconds: 600 }
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
  const { result, processes } = await runOne(session, consumerSpec(session, stored.topic, 'laps'))
  const wrong = difference(stored.checksum, result.checksum)
  if (wrong !== undefined) throw new Error(`what was read is not what was acknowledged: ${wrong}`)
  const bytes = storedBytes(session.target.dataDirectory, stored.topic)
  const storedBytesPerRecord = bytes / stored.checksum.records
  return runResult(session, result, { processes, verified: true, storedBytesPerRecord })
}

/**
 * A producer at full speed and a consumer that follows it. The rate is the smaller of the two in the measured phase; the
 * consumer's ends when the producer's last record is acknowledged, so a consumer that falls behind shows.
 */
export async function producerAndConsumer(session: Session): Promise<RunResult> {
  const topic = newTopic('both')
  await createTopic(session, topic, session.settings.partitions)
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
    consumer.tell({ type: 'measured' })
    const processes = await watch.stop()
    session.onProgress('drain', 0)
    const produced = await guard(session, producer.result)
    consumer.tell({ type: 'finish', records: produced.checksum.records })
    const consumed = await guard(session, consumer.result)
    const wrong = difference(produced.checksum, consumed.checksum)
    if (wrong !== undefined) throw new Error(`what was consumed is not what was acknowledged: ${wrong}`)
    const bytes = storedBytes(session.target.dataDirectory, topic)
    await deleteTopic(session, topic)
    const slower = consumed.records / consumed.seconds < produced.records / produced.seconds ? consumed : produced
    const both = { ...produced, records: slower.records, seconds: slower.seconds, series: slower.series }
    return runResult(session, both, {
      processes: withLoopDelay(withLoopDelay(processes, 'producer', produced), 'consumer', consumed),
      verified: true,
      storedBytesPerRecord: bytes / produced.checksum.records,
    })
  } finally {
    await Promise.all([producer.end(), consumer.end()])
  }
}

export async function endToEnd(session: Session): Promise<RunResult> {
  const { settings, target } = session
  const topic = newTopic('end-to-end')
  await createTopic(session, topic, 1)
  const { result, processes } = await runOne(session, {
    kind: 'end-to-end',
    bootstrap: target.bootstrap,
    topic,
    // One value at a time: a small pool is as good as a large one.
    payload: { valueBytes: settings.valueBytes, seed: settings.payloadSeed, poolBytes: 1024 * 1024 },
    acks: settings.acks,
    warmUpSeconds: settings.warmUpSeconds,
    records: settings.latencyRecords,
    seconds: settings.seconds * 3,
  })
  if (result.errors > 0) throw new Error(`${result.errors} records were not acknowledged`)
  const bytes = storedBytes(target.dataDirectory, topic)
  await deleteTopic(session, topic)
  return runResult(session, result, {
    processes,
    verified: true,
    storedBytesPerRecord: bytes / result.checksum.records,
  })
}

let topics = 0

export function newTopic(kind: string): string {
  return `bench-${kind}-${process.pid}-${topics++}`
}
