/** env/simulated: a disk that lies, a clock that stands still, chance from a seed. */
export type { Fault, FaultMatch, Hold, InjectedFault } from './faults.ts'
export { LyingDisk, type LyingDiskOptions, lyingDisk } from './lying-disk.ts'
export type { DiskOperation, LoggedOperation, OperationLog } from './operation-log.ts'
export { SeededRandom } from './seeded-random.ts'
export { VirtualClock } from './virtual-clock.ts'
