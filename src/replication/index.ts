/**
 * replication: who leads which partition, and how the others follow.
 *
 * A broker registers (`BrokerRegistration`) and, where there are others, stands for `Controller`; the controller elects
 * leaders, everybody follows the cluster image. What a broker by itself does not need is exported by cluster/index.ts.
 *
 * `Replicas` has a `Partition` for each replica of this broker, gives it the role that the image says, and fetches what
 * it follows. The broker serves them: `FetchSessions` remembers what is asked for, `ReplicationWait`s are answered when
 * enough replicas have an append.
 */
export { AppendOrder, type AppendTurn } from './append-order.ts'
export { type AssignableBroker, type AssignmentWish, assignReplicas } from './assignment.ts'
export { BrokerRegistration, checkNodeId, newIncarnation, type RegistrationOptions } from './broker-registration.ts'
export type { Controller, ControllerCounters, ControllerOptions, ElectionTarget, TopicRules } from './controller.ts'
export { type ElectionRules, effectiveMinIsr, withIsr } from './election.ts'
export {
  FetchSession,
  type FetchWish,
  type OpenedSession,
  type SessionClient,
  type SessionPartition,
} from './fetch-session.ts'
export { FetchSessions } from './fetch-sessions.ts'
export { type IsrChange, type IsrOutcome, type IsrStore, MetadataIsrStore } from './isr-store.ts'
export type { Leader } from './leader.ts'
export { type GrowthWait, Partition, type ReplicatedSettings } from './partition.ts'
export { Partitions } from './partitions.ts'
export { Replicas, type ReplicasOptions } from './replicas.ts'
export { type ReplicationRules, soundRules } from './replication-rules.ts'
export { type ReplicationSettings, replicationSettings } from './replication-settings.ts'
export type { ReplicationWait } from './replication-waits.ts'
export type { EpochEnd } from './truncation-point.ts'
