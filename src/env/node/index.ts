/**
 * env/node: the real world. `nodeEnv()` is what `pagelog` runs on; the parts are one per process (or worker thread),
 * since the thread pool, the clock and the network are.
 */
import type { Env } from '../index.ts'
import { nodeClock } from './clock.ts'
import { nodeDisk } from './disk.ts'
import { nodeNetwork } from './network.ts'
import { nodeRandom } from './random.ts'
import { sharedWorkers } from './workers.ts'

export function nodeEnv(): Env {
  return { disk: nodeDisk, network: nodeNetwork(), clock: nodeClock, random: nodeRandom, workers: sharedWorkers() }
}
