/**
 * supervisor: several brokers on one host, with the metadata that they share. `ClusterSupervisor.start` serves the store
 * and keeps the brokers running; `clusterStatus` and `readClusterState` look at a cluster from outside.
 */
export { BrokerChild, type BrokerChildOptions, type Processes } from './broker-child.ts'
export { BROKER_LOG_BYTES_MAX, boundLog, lastLineOf } from './broker-log.ts'
export {
  type BrokerRecord,
  brokerDirectory,
  brokerLogFile,
  type ClusterState,
  holderOf,
  readClusterState,
} from './cluster-state.ts'
export { type BrokerStatus, type ClusterStatus, clusterStatus } from './cluster-status.ts'
export { type ClusterEvent, ClusterSupervisor, type SupervisorOptions } from './cluster-supervisor.ts'
