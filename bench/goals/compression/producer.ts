/** lz4 with two workers against Apache Kafka's Java producer, on one broker, in turns; and our event loop meanwhile. */

import { CompressionBroker } from '../../compression/broker.ts'
import { type ClientRun, type ProducerClient, produce } from '../../compression/clients.ts'
import type { ProduceSpec } from '../../compression/protocol.ts'
import { IdleLoop } from '../../measure/idle-loop.ts'
import { formatRate } from '../../measure/progress.ts'
import { summarize } from '../../measure/statistics.ts'
import { kafkaClasspath } from '../../peers/java.ts'
import { nodeOfMajor } from '../../peers/npm-packages.ts'
import type { GoalContext } from '../goal.ts'
import { compare, takeTurns, withSpread } from '../storage/rounds.ts'

const BATCHES = [65_536, 1 << 20] as const
const WORKERS = 2
const SECONDS = 5
const WARM_UP_SECONDS = { pagelog: 2, java: 6, librdkafka: 2 } as const
const DELAY_P99_MS = 5
const LOOP_BATCH_BYTES = 1 << 20
const LOOP_SECONDS = 6
const LOOP_CODECS = ['lz4', 'snappy', 'gzip', 'zstd'] as const

export async function producerPart(context: GoalContext): Promise<void> {
  await kafkaClasspath()
  const broker = await CompressionBroker.start(context, 'pagelog')
  try {
    for (const batchBytes of BATCHES) {
      const runs: Record<ProducerClient, ClientRun[]> = { pagelog: [], java: [], librdkafka: [] }
      const one = (client: ProducerClient) => async () => {
        context.progress.begin(`producer: lz4, batches of ${batchBytes}, ${client}`)
        const run = await produceOnce(context, broker, client, { batchBytes, codec: 'lz4', seconds: SECONDS })
        runs[client].push(run)
        return run.recordsPerSecond
      }
      const turns = { pagelog: one('pagelog'), java: one('java'), librdkafka: one('librdkafka') }
      const rates = await takeTurns(Math.max(3, context.runs), turns)
      const { ratio, ours, theirs } = compare(rates.pagelog, rates.java)
      const cpu = (client: ProducerClient) =>
        summarize(runs[client].map((run) => run.cpuPerSecond ?? Number.NaN)).median.toFixed(2)
      context.report({
        id: `producer.lz4.${batchBytes >> 10}KiB`,
        pass: ratio.median >= 1,
        measured: `${withSpread(ratio, (value) => `${value.toFixed(2)} ×`)}, ${formatRate(ours.median)} against ${formatRate(theirs.median)} rec/s`,
        goal: '≥ 1.00 × the Java producer',
        how:
          `${rates.pagelog.length} pairs in turns on one pagelog broker, ${SECONDS} s each, JSON events, lz4, ${WORKERS} workers, ` +
          `batch.size ${batchBytes}, linger 5 ms, acks 1; ${runs.java[0]!.client}; cores used ${cpu('pagelog')} against ${cpu('java')}; ` +
          `${runs.librdkafka[0]!.client} ${formatRate(summarize(rates.librdkafka).median)} rec/s`,
      })
    }
  } finally {
    await broker.close()
  }
}

export async function loopPart(context: GoalContext): Promise<void> {
  const node = await nodeOfMajor(24, context.signal)
  const broker = await CompressionBroker.start(context, 'pagelog', { node })
  try {
    for (const codec of LOOP_CODECS) {
      context.progress.begin(`event loop: ${codec}`)
      const idleLoop = new IdleLoop()
      const delays: number[] = []
      const rates: number[] = []
      for (let run = 0; run < context.runs; run++) {
        const asked = { batchBytes: LOOP_BATCH_BYTES, codec, seconds: LOOP_SECONDS }
        // zstd needs a Node that has it; the others are measured on ours.
        const { loopDelay, recordsPerSecond } = await produceOnce(
          context,
          broker,
          'pagelog',
          asked,
          codec === 'zstd' ? node : undefined,
        )
        delays.push(loopDelay?.p99 ?? Number.NaN)
        rates.push(recordsPerSecond)
      }
      const idle = await idleLoop.stop()
      const summary = summarize(delays)
      context.report({
        id: `producer.loop-delay-p99.${codec}`,
        pass: summary.median <= DELAY_P99_MS,
        measured: withSpread(summary, (value) => `${value.toFixed(2)} ms`),
        goal: `≤ ${DELAY_P99_MS} ms`,
        how:
          `median of ${delays.length} runs of ${LOOP_SECONDS} s at full speed (${formatRate(summarize(rates).median)} rec/s), JSON events in ` +
          `batches of 1 MiB, ${WORKERS} workers, the producer's own sampler; an idle process beside it: ${idle === null ? 'not known' : `p99 ${idle.p99.toFixed(2)}, max ${idle.max.toFixed(2)} ms`}`,
      })
    }
  } finally {
    await broker.close()
  }
}

async function produceOnce(
  context: GoalContext,
  broker: CompressionBroker,
  client: ProducerClient,
  asked: Pick<ProduceSpec, 'batchBytes' | 'codec' | 'seconds'>,
  node?: string,
): Promise<ClientRun> {
  return broker.withTopic(async (topic) => {
    const run = await produce(
      client,
      {
        kind: 'produce',
        bootstrap: broker.bootstrap,
        topic,
        payloadFile: broker.payloadFile('json'),
        lingerMs: 5,
        bufferBytes: 64 << 20,
        warmUpSeconds: WARM_UP_SECONDS[client],
        rate: 0,
        workers: WORKERS,
        ...asked,
      },
      { signal: context.signal, ...(node === undefined ? {} : { node }) },
    )
    if (run.errors > 0) throw new Error(`${run.client}: ${run.errors} records were not acknowledged`)
    return run
  })
}
