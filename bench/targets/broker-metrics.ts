/** The metrics of a pagelog broker, asked over its IPC channel. */
import { once } from 'node:events'
import type { LoopDelay as Sampled } from '../../src/env/index.ts'
import { toLoopDelay } from '../measure/loop-delay.ts'
import type { Child } from '../process/children.ts'
import type { LoopDelay } from '../result.ts'

const ANSWER_MS_MAX = 10_000

/** What the broker's own sampler saw since `metrics-reset`. */
export async function loopDelayOf(child: Child): Promise<LoopDelay | undefined> {
  return loopDelayIn(await askMetrics(child))
}

/** One question at a time. */
async function askMetrics(child: Child): Promise<unknown> {
  const answer = once(child.process, 'message', { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
  child.process.send('metrics')
  const [message] = (await Promise.race([answer, child.failure()])) as unknown[]
  return message
}

function loopDelayIn(message: unknown): LoopDelay | undefined {
  const { metrics } = message as { metrics?: { process?: { eventLoop?: Sampled } } }
  const sampled = metrics?.process?.eventLoop
  return sampled === undefined || sampled.turns === 0 ? undefined : toLoopDelay(sampled)
}
