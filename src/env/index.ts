/**
 * The seam to the outside world. Core code receives what it needs of `Env` and knows nothing else of files, sockets,
 * time or chance; `nodeEnv()` of `env/node/` is the real one. A memory-backed Disk and a simulated Network come with
 * the storage engine and the cluster.
 */
import type { Clock, Random } from './clock.ts'
import type { Disk } from './disk.ts'
import type { Network } from './network.ts'

export interface Env {
  readonly disk: Disk
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
}

export type { Clock, Random, Timer } from './clock.ts'
export type { Disk, File, FileLock, FileRegion, FileStatus, OpenMode } from './disk.ts'
export type { Listener, Network, Part, Receiver, Stream } from './network.ts'
export { nodeEnv } from './node/index.ts'
export { type LoopDelay, type LoopSampler, processUsage, startLoopSampler } from './node/loop-sampler.ts'
