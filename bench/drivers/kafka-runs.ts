/**
 * The tests with Apache Kafka's own perf tools, on any target. The JVM's warm-up is left out by the tools' interval
 * lines: the seconds below do not count, neither for the tool nor for the broker that warms up with it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { LatencyRecorder } from '../measure/latency.ts'
import { peerSource, startJava } from '../peers/java.ts'
import type { Child } from '../process/children.ts'
import { withResolvers } from '../process/resolvers.ts'
import type { ProcessResult, RunResult, SeriesPoint } from '../result.ts'
import { type ConsumerInterval, consumerInterval, type ProducerInterval, producerInterval } from './kafka-output.ts'
import { BUFFER_BYTES, newTopic, PRODUCERS } from './pagelog-runs.ts'
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

/** Long enough for both JVMs' compilers; the rates per interval in the report show whether it was. */
const PRODUCER_WARM_UP_SECONDS = 10
const CONSUMER_WARM_UP_SECONDS = 5
const QUICK_WARM_UP_SECONDS = 5
/** What the scripts of Apache Kafka give their tools. */
const TOOL_FLAGS = ['-Xmx512M']
const UNBOUNDED = '2000000000'

function warmUpSeconds(session: Session, usual: number): number {
  return session.settings.runs === 1 ? Math.min(usual, QUICK_WARM_UP_SECONDS) : usual
}

/** Counts interval lines of ProducerPerformance: those of the warm-up, then those measured. */
class ProducerIntervals {
  readonly counted: ProducerInterval[] = []
  /** Set when the measured phase begins: the next line is the first that counts. */
  counting = false
  readonly #session: Session
  readonly #warmUpMs: number
  readonly #warm = withResolvers<void>()
  readonly #done = withResolvers<void>()
  #elapsedMs = 0

  constructor(session: Session) {
    this.#session = session
    this.#warmUpMs = warmUpSeconds(session, PRODUCER_WARM_UP_SECONDS) * 1000
  }

  get warm(): Promise<void> {
    return this.#warm.promise
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  readonly onLine = (line: string): void => {
    const interval = producerInterval(line)
    if (interval === undefined) return
    const { settings } = this.#session
    if (this.#elapsedMs < this.#warmUpMs * 0.95) {
      this.#elapsedMs += (interval.records / interval.recordsPerSecond) * 1000
      if (this.#elapsedMs >= this.#warmUpMs * 0.95) this.#warm.resolve()
      return
    }
    if (!this.counting) return
    this.counted.push(interval)
    this.#session.onProgress('measure', this.records)
    if (this.records >= settings.records || this.seconds >= settings.seconds * 0.95) this.#done.resolve()
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
    onLine,
  })
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
    return result(session, { records: counted, seconds: counted / rate, series, processes }, { replication })
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

/** Lines of ConsumerPerformance --show-detailed-stats: the warm-up's are left out, rates come from what is between the rest. */
class ConsumerIntervals {
  readonly all: ConsumerInterval[] = []
  readonly #session: Session
  readonly #begun = withResolvers<void>()

  constructor(session: Session) {
    this.#session = session
  }

  /** The first records are here, the start of the group is over. */
  get begun(): Promise<void> {
    return this.#begun.promise
  }

  readonly onLine = (line: string): void => {
    const interval = consumerInterval(line)
    if (interval === undefined) return
    this.all.push(interval)
    this.#begun.resolve()
    this.#session.onProgress('measure', interval.records)
  }

  /** When little was stored half of the time is warm-up; the run says how long it was. */
  measured(): { records: number; seconds: number; series: SeriesPoint[]; warmUpSeconds: number } {
    const begin = this.all[0]
    const last = this.all.at(-1)
    if (begin === undefined || last === undefined || this.all.length < 4) {
      throw new Error('the consumer tool was done too soon to be measured: store more records (--records)')
    }
    const usual = warmUpSeconds(this.#session, CONSUMER_WARM_UP_SECONDS)
    const wanted = Math.min(usual, (last.atMs - begin.atMs) / 2000)
    const counted = this.all.filter((interval) => interval.atMs - begin.atMs >= wanted * 1000)
    const first = counted[0]!
    const series = counted.slice(1).map((one) => ({
      atSeconds: (one.atMs - first.atMs) / 1000,
      recordsPerSecond: Math.round(one.recordsPerSecond),
    }))
    const seconds = (last.atMs - first.atMs) / 1000
    return { records: last.records - first.records, seconds, series, warmUpSeconds: (first.atMs - begin.atMs) / 1000 }
  }
}

async function startConsumerTool(session: Session, topic: string, records: number, onLine: (line: string) => void) {
  const { target } = session
  return startJava('ConsumerPerformance', {
    className: 'org.apache.kafka.tools.ConsumerPerformance',
    args: [
      ...['--topic', topic, '--bootstrap-server', target.bootstrap, '--messages', String(records)],
      ...['--show-detailed-stats', '--reporting-interval', '500', '--timeout', '30000'],
    ],
    jvmFlags: TOOL_FLAGS,
    onLine,
  })
}

export async function singleConsumer(session: Session, stored: StoredTopic): Promise<RunResult> {
  const intervals = new ConsumerIntervals(session)
  const { records } = stored.checksum
  session.onProgress('warm-up', 0)
  const tool = await startConsumerTool(session, stored.topic, records, intervals.onLine)
  try {
    await guard(session, Promise.race([intervals.begun, tool.exited]))
    const watch = new RunWatch(session, [{ role: 'consumer', pid: tool.pid }])
    await watch.start()
    const { code, processes } = await guard(session, untilExit(tool, watch))
    if (code !== 0) await tool.failure()
    const bytes = storedBytes(session.target.dataDirectory, stored.topic)
    const all = intervals.all.at(-1)?.records
    return result(
      session,
      { ...intervals.measured(), processes },
      {
        verified: all === undefined ? null : all >= records,
        storedBytesPerRecord: bytes / records,
        warmUpSeconds: intervals.measured().warmUpSeconds,
      },
    )
  } finally {
    await tool.end()
  }
}

/** The tool ends by itself, and a process that is gone cannot be read: it is read twice a second, the last reading counts. */
async function untilExit(
  tool: Child,
  watch: RunWatch,
): Promise<{ code: number | null; processes: readonly ProcessResult[] }> {
  let processes = await watch.stop()
  for (;;) {
    const exit = await Promise.race([tool.exited, sleep(500, undefined)])
    if (exit !== undefined) return { code: exit.code, processes }
    const reading = await watch.stop()
    if (reading.every((one) => one.cpuSeconds !== null)) processes = reading
  }
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
    return result(session, { ...slower, series: produced.series(), processes }, { replication })
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
    const latency = new LatencyRecorder()
    for (const one of nanos) latency.record(one / 1e6)
    const summary = latency.summary() ?? null
    const seconds = nanos.reduce((total, one) => total + one / 1e9, 0)
    return result(
      session,
      { records: nanos.length, seconds, series: [], processes },
      {
        latencyMs: summary,
        serviceTimeMs: summary,
        verified: true,
        warmUpSeconds: warmUp,
        replication,
      },
    )
  } finally {
    await tool.end()
    if (!session.signal.aborted) await deleteTopic(session, topic)
  }
}

/** The consumer's default. Kafka's EndToEndLatency sets 0, with which Kafka is slower: its best is taken. */
const FETCH_MAX_WAIT_MS = '500'
