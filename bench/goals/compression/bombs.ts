/** What is small and becomes huge: the memory that broker and consumer take for it, and that they live on. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin, Producer } from '../../../src/client/index.ts'
import { type CodecName, DECOMPRESSED_BATCH_BYTES_MAX } from '../../../src/record/index.ts'
import { makePayload } from '../../compression/payloads.ts'
import { formatMiB } from '../../measure/progress.ts'
import { nodeOfMajor } from '../../peers/npm-packages.ts'
import { runToEnd } from '../../process/children.ts'
import { builtFile } from '../../process/package-root.ts'
import { startPagelog } from '../../targets/pagelog.ts'
import type { Target } from '../../targets/target.ts'
import type { GoalContext } from '../goal.ts'
import type { BombReading } from './bomb-reader.ts'
import { type Bomb, type BombCodec, bombCodecs, bombs } from './bombs-made.ts'
import { PeakMemory } from './peak-memory.ts'
import { produceRaw } from './raw-produce.ts'

const MESSAGE_MAX_BYTES = 1_048_588
const EXTRA_BYTES_MAX = DECOMPRESSED_BATCH_BYTES_MAX + 2 * MESSAGE_MAX_BYTES
/** Good batches first, of all that the threads and buffers of a broker take once. */
const WARM_BATCHES = 24
const WARM_BATCH_BYTES = 900_000
const SETTLE_MS = 300
const NODE_WITH_ZSTD = 24
const TOPIC = 'bombs'
const GOAL = `≤ ${formatMiB(EXTRA_BYTES_MAX)}`

export async function bombsPart(context: GoalContext): Promise<void> {
  for (const codec of bombCodecs) {
    // The same for all, so that zstd is there.
    const node = await nodeOfMajor(NODE_WITH_ZSTD, context.signal)
    const made = bombs(codec)
    await inBroker(context, codec, made, node)
    await inConsumer(context, codec, made, node)
  }
}

async function withBroker<T>(
  context: GoalContext,
  node: string,
  check: 'full' | 'header',
  use: (target: Target) => Promise<T>,
): Promise<T> {
  const { scratch, signal } = context
  const overrides = { 'pagelog.produce.check.compressed': check }
  const onStart = (pid: number) => scratch.remember(pid)
  const directory = scratch.directory('bombs')
  const target = await startPagelog({ directory, partitions: 1, overrides, signal, node, onStart })
  try {
    await using admin = new Admin({ bootstrap: target.bootstrap })
    await admin.createTopics([{ topic: TOPIC, partitions: 1, replicationFactor: 1 }])
    return await Promise.race([use(target), target.failure])
  } finally {
    await target.close()
  }
}

/** Every bomb twice; a broker of its own for each codec. */
async function inBroker(context: GoalContext, codec: BombCodec, made: readonly Bomb[], node: string): Promise<void> {
  context.progress.begin(`bombs: broker, ${codec}`)
  await withBroker(context, node, 'full', async (target) => {
    await sendGood(target, codec, WARM_BATCHES)
    await sleep(SETTLE_MS, undefined, { signal: context.signal })
    const memory = new PeakMemory(target.pid)
    const answers: string[] = []
    for (const { name, batch } of [...made, ...made]) {
      const code = await produceRaw(target.bootstrap, TOPIC, batch)
      if (code === 0) throw new Error(`${codec} that ${name} was stored`)
      if (answers.length < made.length) answers.push(`${name}: error ${code}`)
    }
    const extra = memory.extra()
    const stored = await sendGood(target, codec, 1)
    report(context, `bombs.broker.${codec}`, extra, answers, `afterwards ${stored} record was stored`)
  })
}

/** A broker that trusts its producers stores them; the consumer must not. */
async function inConsumer(context: GoalContext, codec: BombCodec, made: readonly Bomb[], node: string): Promise<void> {
  context.progress.begin(`bombs: consumer, ${codec}`)
  await withBroker(context, node, 'header', async (target) => {
    const warm = await sendGood(target, codec, WARM_BATCHES)
    const twice = [...made, ...made]
    for (const { name, batch } of twice) {
      const code = await produceRaw(target.bootstrap, TOPIC, batch)
      if (code !== 0) throw new Error(`${codec} that ${name} was not stored: ${code}`)
    }
    await sendGood(target, codec, 1)
    const args = [target.bootstrap, TOPIC, String(warm), String(twice.length)]
    const program = builtFile('bench/goals/compression/bomb-reader.ts')
    const text = await runToEnd('the consumer', { command: node, args: [program, ...args] }, context.signal)
    const { extraBytes, errors, readAfter } = JSON.parse(text) as BombReading
    const unrefused = errors.find((error) => !error.startsWith('PAGELOG_'))
    if (unrefused !== undefined || readAfter === 0)
      throw new Error(`${codec}: ${unrefused ?? 'nothing was read after'}`)
    const answers = made.map(({ name }, index) => `${name}: ${errors[index]}`)
    report(context, `bombs.consumer.${codec}`, extraBytes, answers, `afterwards ${readAfter} record was read`)
  })
}

function report(context: GoalContext, id: string, extra: number, answers: readonly string[], after: string): void {
  context.report({
    id,
    pass: extra <= EXTRA_BYTES_MAX,
    measured: `${formatMiB(extra)} more`,
    goal: GOAL,
    how:
      `largest resident set of the process (Node ${NODE_WITH_ZSTD}) less that before, over batches of 1 MiB, each twice, after ` +
      `${WARM_BATCHES} good ones; ${answers.join('; ')}; ${after}`,
  })
}

/** One record a batch, large ones that are compressed here; the records stored. zstd has to be asked of others here. */
async function sendGood(target: Target, codec: BombCodec, batches: number): Promise<number> {
  // A process without zstd warms the broker with another codec: the threads and buffers are the same.
  const compressionType: CodecName = codec === 'zstd' && !hasZstd() ? 'gzip' : codec
  await using producer = new Producer({ bootstrap: target.bootstrap, compressionType, batchBytes: 16_384 })
  const value = Buffer.concat(makePayload('json', batches === 1 ? 1_000 : WARM_BATCH_BYTES))
  for (let i = 0; i < batches; i++) await producer.send({ topic: TOPIC, partition: 0, value })
  return batches
}

function hasZstd(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 15)
}
