/** Reading lz4 against @platformatic/kafka: both on Node 24, on one Apache Kafka broker (it needs groups), one topic. */
import { CompressionBroker } from '../../compression/broker.ts'
import { type ClientRun, type ConsumerClient, consume, produce } from '../../compression/clients.ts'
import type { ConsumeSpec } from '../../compression/protocol.ts'
import { formatRate } from '../../measure/progress.ts'
import { summarize } from '../../measure/statistics.ts'
import { kafkaClasspath } from '../../peers/java.ts'
import { nodeOfMajor } from '../../peers/npm-packages.ts'
import type { GoalContext } from '../goal.ts'
import { compare, takeTurns, withSpread } from '../storage/rounds.ts'

const BATCHES = [65_536, 1 << 20] as const
const FILL_SECONDS = 12
const SECONDS = 5
const WARM_UP_SECONDS = 3
const TIMES = 2
const NODE = 24

export async function consumerPart(context: GoalContext): Promise<void> {
  await kafkaClasspath()
  const { signal, progress } = context
  const node = await nodeOfMajor(NODE, signal)
  const broker = await CompressionBroker.start(context, 'kafka')
  try {
    for (const batchBytes of BATCHES) {
      await broker.withTopic(async (topic) => {
        progress.begin(`consumer: fills a topic with batches of ${batchBytes}`)
        const { records: storedRecords } = await produce(
          'pagelog',
          {
            kind: 'produce',
            bootstrap: broker.bootstrap,
            topic,
            payloadFile: broker.payloadFile('json'),
            codec: 'lz4',
            batchBytes,
            lingerMs: 50,
            bufferBytes: 64 << 20,
            warmUpSeconds: 0,
            seconds: FILL_SECONDS,
            rate: 0,
          },
          { signal },
        )
        const spec: ConsumeSpec = {
          kind: 'consume',
          bootstrap: broker.bootstrap,
          topic,
          partitions: broker.partitions,
          storedRecords,
          fetchMaxBytes: 50 << 20,
          partitionFetchMaxBytes: 1 << 20,
          warmUpSeconds: WARM_UP_SECONDS,
          seconds: SECONDS,
          workers: 2,
        }
        await compareConsumers(context, spec, node, batchBytes)
      })
    }
  } finally {
    await broker.close()
  }
}

async function compareConsumers(
  context: GoalContext,
  spec: ConsumeSpec,
  node: string,
  batchBytes: number,
): Promise<void> {
  const runs: Record<ConsumerClient, ClientRun[]> = { pagelog: [], platformatic: [] }
  const one = (client: ConsumerClient) => async () => {
    context.progress.begin(`consumer: lz4, batches of ${batchBytes}, ${client}`)
    const run = await consume(client, spec, { signal: context.signal, node })
    runs[client].push(run)
    return run.recordsPerSecond
  }
  const rates = await takeTurns(Math.max(3, context.runs), {
    pagelog: one('pagelog'),
    platformatic: one('platformatic'),
  })
  const { ratio, ours, theirs } = compare(rates.pagelog, rates.platformatic)
  const cpu = (client: ConsumerClient) =>
    summarize(runs[client].map((run) => run.cpuPerSecond ?? Number.NaN)).median.toFixed(2)
  context.report({
    id: `consumer.lz4.${batchBytes >> 10}KiB`,
    pass: ratio.median >= TIMES,
    measured: `${withSpread(ratio, (value) => `${value.toFixed(2)} ×`)}, ${formatRate(ours.median)} against ${formatRate(theirs.median)} rec/s`,
    goal: `≥ ${TIMES}.00 × @platformatic/kafka`,
    how:
      `${rates.pagelog.length} pairs in turns on one Apache Kafka broker, Node ${NODE} for both, ${spec.storedRecords} JSON events in ` +
      `${spec.partitions} partitions, batches of ${batchBytes} before compression, the same fetch sizes, length and first byte of each ` +
      `value; ${runs.platformatic[0]!.client}; cores used ${cpu('pagelog')} against ${cpu('platformatic')}`,
  })
}
