/**
 * testing: a real broker inside the test process, with real sockets and a folder of its own, or none.
 *
 *   const { bootstrap, close } = await startBroker({ disk: 'memory' })
 *   … new Producer({ bootstrap }) …
 *   await close()
 *
 * `memoryDisk()` is that disk by itself. `lyingDisk({ seed })` keeps no more promises than a disk must: it loses what was
 * not synced when its power goes, fails, fills up and stalls on demand, and does the same again by the same seed.
 */
export type { Clock, Disk } from '../env/index.ts'
export { type MemoryDisk, type MemoryDiskOptions, memoryDisk } from '../env/memory/index.ts'
export {
  type Fault,
  type FaultMatch,
  type Hold,
  type InjectedFault,
  type LoggedOperation,
  type LyingDisk,
  type LyingDiskOptions,
  lyingDisk,
  SeededRandom,
  VirtualClock,
} from '../env/simulated/index.ts'
export { type StartBrokerOptions, startBroker, type TestBroker } from './start-broker.ts'
