/** From the start of the broker's process to the first acknowledged record, and the memory of a broker that idles. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer } from '../../../src/client/index.ts'
import { residentBytes } from '../../measure/processes.ts'
import { formatMiB, formatMs } from '../../measure/progress.ts'
import { pairedRatio, type Summary, summarize } from '../../measure/statistics.ts'
import { kafkaClasspath } from '../../peers/java.ts'
import { launchKafka, prepareKafka } from '../../targets/kafka.ts'
import { launchPagelog } from '../../targets/pagelog.ts'
import { freePorts, waitForPort } from '../../targets/ports.ts'
import type { Target } from '../../targets/target.ts'
import type { GoalContext } from '../goal.ts'

/** Long enough for what a broker does after its start. */
const IDLE_MS = 5_000

interface Start {
  readonly milliseconds: number
  readonly residentBytes: number
}

export async function startAndMemory(context: GoalContext): Promise<void> {
  await kafkaClasspath()
  const own: Start[] = []
  const kafka: Start[] = []
  for (let run = 0; run < context.runs; run++) {
    own.push(await startOnce(context, 'pagelog'))
    kafka.push(await startOnce(context, 'kafka'))
  }
  const times = pairedRatio(milliseconds(own), milliseconds(kafka))!
  const sizes = pairedRatio(sizesOf(own), sizesOf(kafka))!
  const how = (figure: (starts: Start[]) => string) =>
    `median of ${context.runs} interleaved starts; Kafka ${figure(kafka)}`
  const time = (starts: Start[]) => formatMs(summarize(milliseconds(starts)).median)
  const size = (starts: Start[]) => formatMiB(summarize(sizesOf(starts)).median)
  context.report({
    id: 'start-to-first-produce',
    pass: times.median <= 1 / 8,
    measured: `${time(own)}, ${share(times)}`,
    goal: '≤ 0.125',
    how: `${how(time)}; process started on an empty, formatted directory, topic created by the first record`,
  })
  context.report({
    id: 'idle-rss',
    pass: sizes.median <= 1 / 4,
    measured: `${size(own)}, ${share(sizes)}`,
    goal: '≤ 0.25',
    how: `${how(size)}; resident set ${IDLE_MS / 1000} s after the first record, heap of Kafka 1 GiB`,
  })
}

const milliseconds = (starts: readonly Start[]) => starts.map((start) => start.milliseconds)
const sizesOf = (starts: readonly Start[]) => starts.map((start) => start.residentBytes)
const share = (ratio: Summary) =>
  `${ratio.median.toFixed(3)} of Kafka (${ratio.low.toFixed(3)} – ${ratio.high.toFixed(3)})`

async function startOnce(context: GoalContext, name: 'pagelog' | 'kafka'): Promise<Start> {
  const { scratch, signal, progress } = context
  const options = {
    directory: scratch.directory(`start-${name}`),
    partitions: 6,
    onStart: (pid: number) => scratch.remember(pid),
    signal,
  }
  const prepared = name === 'kafka' ? await prepareKafka(options) : undefined
  const port = prepared?.port ?? (await freePorts(1))[0]!
  progress.begin(`start · ${name}`)
  const startedMs = performance.now()
  const target =
    prepared === undefined ? launchPagelog(options, port) : await launchKafka(options, port, prepared.properties)
  try {
    await Promise.race([waitForPort(port, 60_000, signal), target.failure])
    await Promise.race([produceOne(target), target.failure])
    const elapsed = performance.now() - startedMs
    progress.end(formatMs(elapsed))
    await sleep(IDLE_MS, undefined, { signal })
    return { milliseconds: elapsed, residentBytes: residentBytes(target.pid) ?? Number.NaN }
  } finally {
    await target.close()
  }
}

async function produceOne(target: Target): Promise<void> {
  const producer = new Producer({
    bootstrap: target.bootstrap,
    acks: 1,
    idempotent: false,
    lingerMs: 0,
    retryBackoffMs: 5,
    retryBackoffMaxMs: 20,
    reconnectBackoffMs: 5,
    reconnectBackoffMaxMs: 20,
  })
  try {
    await producer.send({ topic: 'first', value: new Uint8Array(100) })
  } finally {
    await producer.close()
  }
}
