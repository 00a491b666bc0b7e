/**
 * What of replication only a broker needs that is one of several: the controller, following others, handing leaderships
 * over, coming back. Not exported by replication/index.ts: a broker by itself loads none of it.
 */
export { leaveCluster } from '../controlled-shutdown.ts'
export { Controller } from '../controller.ts'
export { FollowerFetchers } from '../follower-fetchers.ts'
export { IncarnationFile, type PastLives } from '../incarnation-file.ts'
export {
  isAwaited,
  type LogEnd,
  type ReplicaLog,
  type ReturningOptions,
  returnToCluster,
  tellOfLog,
} from '../returning.ts'
