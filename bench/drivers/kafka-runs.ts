/**
 * The tests with Apache Kafka's own perf tools, on any target, which the harness has warmed before. Every run has a JVM of
 * its own for the tool: its warm-up is left out by the tool's interval lines.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { estimatedBytesPerRecord } from '../limits/limits.ts'
import { IntervalLatency } from '../load/intervals.ts'
import { isRising, isSteady } from '../measure/steadiness.ts'
import { nextClientPlace } from '../netns/namespaces.ts'
import { peerSource, startJava } from '../peers/java.ts'
import type { Child } from '../process/children.ts'
import { withResolvers } from '../process/resolvers.ts'
import type { ProcessResult, RunResult, SeriesPoint } from '../result.ts'
import { ConsumerIntervals, measuredTogether } from './kafka-consumer-intervals.ts'
import { type ConsumerInterval, consumerInterval, type ProducerInterval, producerInterval } from './kafka-output.ts'
import { BUFFER_BYTES, CONSUMERS, newTopic, PRODUCERS } from './pagelog-runs.ts'
import {
  createTopic,
  deleteTopic,
  FollowerWatch,
  guard,
  RunWatch,
  type Session,
  type StoredTopic,
  storedBytes,
} from './session.ts'

/** At least; then until its lines, one each 5 s, are steady. */
const PRODUCER_WARM_UP_SECONDS = 10
/** At most: on warm brokers a tool alone has got there, and a run should not be mostly warm-up. */
const PRODUCER_WARM_UP_SECONDS_MAX = 40
const CONSUMER_WARM_UP_SECONDS = 5
const QUICK_WARM_UP_SECONDS = 5
/** What the scripts of Apache Kafka give their tools. */
const TOOL_FLAGS = ['-Xmx512M']
const UNBOUNDED = '2000000000'

function warmUpSeconds(session: Session, usual: number): number {
  return session.settings.runs === 1 ? Math.min(usual, QUICK_WARM_UP_SECONDS) : usual
}

/** Counts interval lines of ProducerPerformance: those of the warm-up, then those measured. */
export class ProducerIntervals {
  readonly counted: ProducerInterval[] = []
  /** Set when the measured phase begins: the next line is the first that counts. */
  counting = false
  readonly #session: Session
  readonly #leastMs: number
  readonly #mostMs: number
  readonly #warmUpRates: number[] = []
  #isWarm = false
  readonly #warm = withResolvers<void>()
  readonly #done = withResolvers<void>()
  #elapsedMs = 0

  constructor(session: Session) {
    this.#session = session
    this.#leastMs = warmUpSeconds(session, PRODUCER_WARM_UP_SECONDS) * 1000
    this.#mostMs = warmUpSeconds(session, PRODUCER_WARM_UP_SECONDS_MAX) * 1000
  }

  get warm(): Promise<void> {
    return this.#warm.promise
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  get warmUpSeconds(): number {
    return Math.round(this.#elapsedMs / 1000)
  }

  /** It was getting faster still when the warm-up had to end; a quick run does not know. */
  get stillRising(): boolean {
    return this.#warmUpRates.length > 1 && !isSteady(this.#warmUpRates) && isRising(this.#warmUpRates)
  }

  readonly onLine = (line: string): void => {
    const interval = producerInterval(line)
    if (interval === undefined) return
    const { settings } = this.#session
    if (!this.#isWarm) {
      this.#warmUp(interval)
      return
    }
    if (!this.counting) return
    this.counted.push(interval)
    this.#session.onProgress('measure', this.records)
    if (this.records >= settings.records || this.seconds >= settings.seconds * 0.95) this.#done.resolve()
  }

  #warmUp({ records, recordsPerSecond }: ProducerInterval): void {
    // A line of nothing has no rate and was 5 s all the same.
    this.#elapsedMs += records === 0 ? 5000 : (records / recordsPerSecond) * 1000
    this.#warmUpRates.push(recordsPerSecond)
    const isLong = (milliseconds: number) => this.#elapsedMs >= milliseconds * 0.95
    if (!isLong(this.#mostMs) && !(isLong(this.#leastMs) && isSteady(this.#warmUpRates))) return
    this.#isWarm = true
    this.#warm.resolve()
  }

  get records(): number {
    return this.counted.reduce((total, one) => total + one.records, 0)
  }

  get seconds(): number {
    return this.counted.reduce((total, one) => total + one.records / one.recordsPerSecond, 0)
  }

  series(): SeriesPoint[] {
    let seconds = 0
    return this.counted.map((one) => {
      seconds += one.records / one.recordsPerSecond
      return { atSeconds: Math.round(seconds * 1000) / 1000, recordsPerSecond: one.recordsPerSecond }
    })
  }
}

async function startProducerTool(session: Session, topic: string, onLine: (line: string) => void): Promise<Child> {
  const { settings, target } = session
  const properties = [
    `bootstrap.servers=${target.bootstrap}`,
    `acks=${settings.acks === -1 ? 'all' : settings.acks}`,
    `batch.size=${settings.batchBytes}`,
    `linger.ms=${settings.lingerMs}`,
    `buffer.memory=${BUFFER_BYTES}`,
    'enable.idempotence=false',
  ]
  const size = String(settings.valueBytes)
  return startJava('ProducerPerformance', {
    className: 'org.apache.kafka.tools.ProducerPerformance',
    args: [
      ...['--topic', topic, '--num-records', UNBOUNDED, '--record-size', size, '--throughput', '-1'],
      ...['--producer-props', ...properties],
    ],
    jvmFlags: TOOL_FLAGS,
    place: nextClientPlace(),
    onLine,
  })
}

/** Of tools that were waited for until all of them were warm. */
function warmth(tools: readonly ProducerIntervals[]): Pick<RunResult, 'warmUpSeconds' | 'stillRising'> {
  return {
    warmUpSeconds: Math.max(...tools.map((tool) => tool.warmUpSeconds)),
    stillRising: tools.some((tool) => tool.stillRising),
  }
}

function result(
  session: Session,
  measured: { records: number; seconds: number; series: readonly SeriesPoint[]; processes: readonly ProcessResult[] },
  rest: Partial<RunResult>,
): RunResult {
  return {
    recordsPerSecond: measured.records / measured.seconds,
    ...measured,
    latencyMs: null,
    serviceTimeMs: null,
    errors: 0,
    retries: 0,
    verified: null,
    storedBytesPerRecord: null,
    warmUpSeconds: warmUpSeconds(session, PRODUCER_WARM_UP_SECONDS),
    writeBackQuiet: null,
    replication: null,
    ...rest,
  }
}

export function singleProducer(session: Session): Promise<RunResult> {
  return producers(session, 1)
}

export function threeProducers(session: Session): Promise<RunResult> {
  return producers(session, PRODUCERS)
}

/** Tools that run until they are ended: the rate is the sum of theirs, each over the intervals that all of them were warm for. */
async function producers(session: Session, count: number): Promise<RunResult> {
  const topic = newTopic('producer')
  await createTopic(session, topic, session.settings.partitions)
  session.onProgress('warm-up', 0)
  const records = Math.ceil(session.settings.records / count)
  const intervals = Array.from({ length: count }, () => {
    return new ProducerIntervals({ ...session, settings: { ...session.settings, records } })
  })
  const tools = await Promise.all(intervals.map((one) => startProducerTool(session, topic, one.onLine)))
  const ended = Promise.race(tools.map((tool) => tool.failure()))
  ended.catch(() => {})
  try {
    await guard(session, Promise.race([Promise.all(intervals.map(({ warm }) => warm)), ended]))
    for (const one of intervals) one.counting = true
    const role = (i: number) => (count === 1 ? 'producer' : `producer ${i + 1}`)
    const watch = new RunWatch(
      session,
      tools.map(({ pid }, i) => ({ role: role(i), pid })),
    )
    await watch.start()
    await guard(session, Promise.race([Promise.all(intervals.map(({ done }) => done)), ended]))
    const followers = new FollowerWatch(session, topic)
    followers.end()
    const processes = await watch.stop()
    const rate = intervals.reduce((total, one) => total + one.records / one.seconds, 0)
    const counted = intervals.reduce((total, one) => total + one.records, 0)
    const series = count === 1 ? intervals[0]!.series() : []
    await endTools(tools)
    followers.quiet()
    const replication = await guard(session, followers.result())
    const io = watch.io(bytesPerRecord(session), { produced: counted })
    return result(
      session,
      { records: counted, seconds: counted / rate, series, processes },
      { ...warmth(intervals), replication, io },
    )
  } finally {
    await endTools(tools)
    if (!session.signal.aborted) await deleteTopic(session, topic)
  }
}

/** At once: a tool asked to stop goes on sending until its JVM is down. */
async function endTools(tools: readonly Child[]): Promise<void> {
  for (const tool of tools) tool.killNow()
  await Promise.all(tools.map(({ exited }) => exited))
}

async function startConsumerTool(session: Session, topic: string, records: number, onLine: (line: string) => void) {
  const { target } = session
  return startJava('ConsumerPerformance', {
    className: 'org.apache.kafka.tools.ConsumerPerformance',
    args: [
      ...['--topic', topic, '--bootstrap-server', target.bootstrap, '--messages', String(records)],
      ...['--show-detailed-stats', '--reporting-interval', '500', '--timeout', '30000'],
      // What an earlier run has committed must not count.
      ...['--group', newTopic('group')],
    ],
    jvmFlags: TOOL_FLAGS,
    place: nextClientPlace(),
    onLine,
  })
}

export function singleConsumer(session: Session, stored: StoredTopic): Promise<RunResult> {
  return consumers(session, stored, 1)
}

export function threeConsumers(session: Session, stored: StoredTopic): Promise<RunResult> {
  return consumers(session, stored, CONSUMERS)
}

async function consumers(session: Session, stored: StoredTopic, count: number): Promise<RunResult> {
  const usual = warmUpSeconds(session, CONSUMER_WARM_UP_SECONDS)
  const onProgress = (seen: number) => session.onProgress('measure', seen)
  const all = Array.from({ length: count }, () => new ConsumerIntervals(usual, onProgress))
  const { records } = stored.checksum
  session.onProgress('warm-up', 0)
  const starts = all.map((one) => startConsumerTool(session, stored.topic, records, one.onLine))
  const tools = await Promise.all(starts)
  try {
    const begun = Promise.all(all.map((one) => one.begun))
    await guard(session, Promise.race([begun, ...tools.map(({ exited }) => exited)]))
    const role = (i: number) => (count === 1 ? 'consumer' : `consumer ${i + 1}`)
    const watch = new RunWatch(
      session,
      tools.map(({ pid }, i) => ({ role: role(i), pid })),
    )
    const seen = () => all.reduce((total, one) => total + (one.all.at(-1)?.records ?? 0), 0)
    await watch.start()
    const before = seen()
    const processes = await guard(session, untilAllExit(tools, watch))
    const measured = measuredTogether(all)
    const storedBytesPerRecord = storedBytes(session.target.dataDirectory, stored.topic) / records
    return result(
      session,
      { records: measured.records, seconds: measured.seconds, series: measured.series, processes },
      {
        verified: all.every((one) => (one.all.at(-1)?.records ?? 0) >= records),
        storedBytesPerRecord,
        warmUpSeconds: measured.warmUpSeconds,
        io: watch.io(storedBytesPerRecord, { consumed: seen() - before }),
      },
    )
  } finally {
    await Promise.all(tools.map((tool) => tool.end()))
  }
}

/**
 * The tools end by themselves, and a process that is gone cannot be read: they are read twice a second, the last reading of all
 * counts. Rejects when one of them fails.
 */
async function untilAllExit(tools: readonly Child[], watch: RunWatch): Promise<readonly ProcessResult[]> {
  const ended = Promise.all(tools.map((tool) => tool.exited.then(({ code }) => (code === 0 ? code : tool.failure()))))
  ended.catch(() => {})
  let processes = await watch.stop()
  for (;;) {
    const over = await Promise.race([ended, sleep(500, undefined)])
    // What the brokers read is counted to the end.
    const reading = await watch.stop()
    if (reading.every((one) => one.cpuSeconds !== null)) processes = reading
    if (over !== undefined) return processes
  }
}

/** What the log holds of one, as far as it can be told beforehand. */
function bytesPerRecord({ settings }: Session): number {
  return estimatedBytesPerRecord(settings.valueBytes, settings.batchBytes)
}

/** Both tools at once; the rate is the smaller of the two over the seconds in which the producer's lines count. */
export async function producerAndConsumer(session: Session): Promise<RunResult> {
  const topic = newTopic('both')
  await createTopic(session, topic, session.settings.partitions)
  const produced = new ProducerIntervals(session)
  const consumed: ConsumerInterval[] = []
  session.onProgress('warm-up', 0)
  const begun = withResolvers<void>()
  const consumer = await startConsumerTool(session, topic, Number(UNBOUNDED), (line) => {
    const interval = consumerInterval(line)
    if (interval === undefined) return
    consumed.push(interval)
    begun.resolve()
  })
  const producer = await startProducerTool(session, topic, produced.onLine)
  const ended = Promise.race([producer.failure(), consumer.failure()])
  ended.catch(() => {})
  try {
    // Joining its group takes the consumer seconds; what is produced meanwhile does not count.
    await guard(session, Promise.race([Promise.all([produced.warm, begun.promise]), ended]))
    produced.counting = true
    const first = consumed.at(-1)
    const watch = new RunWatch(session, [
      { role: 'producer', pid: producer.pid },
      { role: 'consumer', pid: consumer.pid },
    ])
    await watch.start()
    await guard(session, Promise.race([produced.done, ended]))
    const last = consumed.at(-1)
    const followers = new FollowerWatch(session, topic)
    followers.end()
    const processes = await watch.stop()
    if (first === undefined || last === undefined || last.atMs <= first.atMs) {
      throw new Error('the consumer tool printed too few intervals')
    }
    const consumerSeconds = (last.atMs - first.atMs) / 1000
    const consumerRate = (last.records - first.records) / consumerSeconds
    const producerRate = produced.records / produced.seconds
    const slower =
      consumerRate < producerRate
        ? { records: last.records - first.records, seconds: consumerSeconds }
        : { records: produced.records, seconds: produced.seconds }
    await endTools([producer, consumer])
    followers.quiet()
    const replication = await guard(session, followers.result())
    const io = watch.io(bytesPerRecord(session), {
      produced: produced.records,
      consumed: last.records - first.records,
    })
    return result(
      session,
      { ...slower, series: produced.series(), processes },
      { ...warmth([produced]), replication, io },
    )
  } finally {
    await endTools([producer, consumer])
    if (!session.signal.aborted) await deleteTopic(session, topic)
  }
}

/** Kafka's Java clients by a program of ours, since the tool's percentiles are whole milliseconds. */
export async function endToEnd(session: Session): Promise<RunResult> {
  const { settings, target } = session
  const topic = newTopic('end-to-end')
  await createTopic(session, topic, 1)
  const nanos: number[] = []
  const measuring = withResolvers<void>()
  const measured = withResolvers<void>()
  const warmUp = warmUpSeconds(session, PRODUCER_WARM_UP_SECONDS)
  session.onProgress('warm-up', 0)
  const acks = settings.acks === -1 ? 'all' : String(settings.acks)
  const tool = await startJava('EndToEnd', {
    className: peerSource('EndToEnd.java'),
    args: [
      ...[target.bootstrap, topic, String(settings.latencyRecords), String(settings.valueBytes), acks],
      ...[String(warmUp), String(settings.seconds * 3), FETCH_MAX_WAIT_MS],
    ],
    jvmFlags: TOOL_FLAGS,
    place: nextClientPlace(),
    onLine: (line) => {
      if (line === 'measuring') measuring.resolve()
      else if (line === 'measured') measured.resolve()
      else if (/^\d+$/.test(line)) nanos.push(Number(line))
    },
  })
  const failed = tool.exited.then(({ code }) => (code === 0 ? undefined : tool.failure()))
  failed.catch(() => {})
  try {
    await guard(session, Promise.race([measuring.promise, failed]))
    const watch = new RunWatch(session, [{ role: 'producer and consumer', pid: tool.pid }])
    await watch.start()
    await guard(session, Promise.race([measured.promise, failed]))
    const processes = await watch.stop()
    await guard(session, failed)
    const followers = new FollowerWatch(session, topic)
    followers.end()
    followers.quiet()
    const replication = await guard(session, followers.result())
    const latency = new IntervalLatency()
    let seconds = 0
    for (const one of nanos) {
      seconds += one / 1e9
      latency.record(one / 1e6, seconds * 1000)
    }
    latency.finish(seconds * 1000)
    const summary = latency.whole.summary() ?? null
    return result(
      session,
      { records: nanos.length, seconds, series: [], processes },
      {
        latencyMs: summary,
        serviceTimeMs: summary,
        verified: true,
        warmUpSeconds: warmUp,
        replication,
        intervals: latency.intervals,
        io: watch.io(bytesPerRecord(session), { produced: nanos.length, consumed: nanos.length }),
      },
    )
  } finally {
    await tool.end()
    if (!session.signal.aborted) await deleteTopic(session, topic)
  }
}

/** The consumer's default. Kafka's EndToEndLatency sets 0, with which Kafka is slower: its best is taken. */
const FETCH_MAX_WAIT_MS = '500'
