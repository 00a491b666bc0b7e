/**
 * The seam to the outside world. Core code receives what it needs of `Env` and knows nothing else of files, sockets,
 * time or chance; `nodeEnv()` of `env/node/` is the real one.
 *
 * `env/memory/`, a disk that ends with the process, and `env/simulated/`, a disk that lies, clocks and a network that obey
 * a seed, and machines made of them, are not exported here: no broker loads them. Tests and the room `testing` import
 * their own index.ts.
 */
import type { Clock, Random } from './clock.ts'
import type { Disk } from './disk.ts'
import type { Network } from './network.ts'
import type { Workers } from './workers.ts'

export interface Env {
  readonly disk: Disk
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  /** CPU work off the event loop, on the same disk. */
  readonly workers: Workers
}

export type { Clock, Random, Timer } from './clock.ts'
export type {
  Disk,
  File,
  FileLock,
  FileRegion,
  FileStatus,
  NameSync,
  OpenMode,
  ScannedFile,
  SyncedWrite,
  TailRule,
} from './disk.ts'
export { inThreadWorkers } from './in-thread-workers.ts'
export type { Listener, ListenOptions, Network, Part, Receiver, Stream } from './network.ts'
export { type Channel, openChannel } from './node/channel.ts'
export { nodeEnv } from './node/index.ts'
export { type LoopDelay, type LoopSampler, processUsage, startLoopSampler } from './node/loop-sampler.ts'
export {
  isProcessAlive,
  machineBootId,
  type ProcessMark,
  processMark,
  type StartedProcess,
  signalProcess,
  startDetached,
} from './node/processes.ts'
export {
  type ItemSink,
  type ItemSource,
  type NodeReadable,
  type NodeWritable,
  nodeReadable,
  nodeWritable,
} from './node/streams.ts'
export { type NodeWorkersOptions, nodeWorkers } from './node/workers.ts'
export { type Job, type JobEnv, type JobFunction, type JobOptions, jobAt, moved, type Workers } from './workers.ts'
