/**
 * Kafka's error codes, as they stand in responses: the one table of them, with every code of Kafka 4.1. A *retriable*
 * one may be gone when the same request is sent again, after new metadata where it says so. The texts are ours; clients
 * go by the code.
 */
const RETRIABLE = true

const TABLE = {
  UNKNOWN_SERVER_ERROR: [-1, 'the broker failed in a way it has no other code for'],
  NONE: [0, 'no error'],
  OFFSET_OUT_OF_RANGE: [1, 'the offset is before the start or past the end of the log'],
  CORRUPT_MESSAGE: [2, 'a batch has a wrong CRC or size, or lacks a key where one is needed', RETRIABLE],
  UNKNOWN_TOPIC_OR_PARTITION: [3, 'no such topic or partition on this broker', RETRIABLE],
  INVALID_FETCH_SIZE: [4, 'the fetch size is not allowed'],
  LEADER_NOT_AVAILABLE: [5, 'the partition has no leader at the moment', RETRIABLE],
  NOT_LEADER_OR_FOLLOWER: [6, 'this broker is not the leader, or no replica, of the partition', RETRIABLE],
  REQUEST_TIMED_OUT: [7, 'the request took longer than it was given', RETRIABLE],
  BROKER_NOT_AVAILABLE: [8, 'the broker is not available'],
  REPLICA_NOT_AVAILABLE: [9, 'the replica is not available', RETRIABLE],
  MESSAGE_TOO_LARGE: [10, 'a batch is larger than the topic allows'],
  STALE_CONTROLLER_EPOCH: [11, 'another controller has taken over'],
  OFFSET_METADATA_TOO_LARGE: [12, 'the text with a committed offset is too long'],
  NETWORK_EXCEPTION: [13, 'the connection ended before the answer came', RETRIABLE],
  COORDINATOR_LOAD_IN_PROGRESS: [14, 'the coordinator is still loading its state', RETRIABLE],
  COORDINATOR_NOT_AVAILABLE: [15, 'there is no coordinator at the moment', RETRIABLE],
  NOT_COORDINATOR: [16, 'this broker is not the coordinator', RETRIABLE],
  INVALID_TOPIC_EXCEPTION: [17, 'the topic name is not allowed, or the topic not for this operation'],
  RECORD_LIST_TOO_LARGE: [18, 'the batches are larger than a segment'],
  NOT_ENOUGH_REPLICAS: [19, 'fewer replicas are in sync than min.insync.replicas; nothing was written', RETRIABLE],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: [20, 'written, but on fewer replicas than min.insync.replicas', RETRIABLE],
  INVALID_REQUIRED_ACKS: [21, 'acks must be -1, 0 or 1'],
  ILLEGAL_GENERATION: [22, 'this is not the current generation of the group'],
  INCONSISTENT_GROUP_PROTOCOL: [23, 'the member has no protocol in common with its group'],
  INVALID_GROUP_ID: [24, 'the group id is not allowed'],
  UNKNOWN_MEMBER_ID: [25, 'the group has no such member'],
  INVALID_SESSION_TIMEOUT: [26, 'the session time-out is outside what the broker allows'],
  REBALANCE_IN_PROGRESS: [27, 'the group is rebalancing: join again'],
  INVALID_COMMIT_OFFSET_SIZE: [28, 'the commit would make a batch that is too large'],
  TOPIC_AUTHORIZATION_FAILED: [29, 'not authorized for the topic'],
  GROUP_AUTHORIZATION_FAILED: [30, 'not authorized for the group'],
  CLUSTER_AUTHORIZATION_FAILED: [31, 'not authorized for the cluster'],
  INVALID_TIMESTAMP: [32, 'a timestamp is too far from the broker’s clock'],
  UNSUPPORTED_SASL_MECHANISM: [33, 'the broker does not offer this SASL mechanism'],
  ILLEGAL_SASL_STATE: [34, 'the request does not fit the state of the SASL exchange'],
  UNSUPPORTED_VERSION: [35, 'the broker does not serve this version of the request'],
  TOPIC_ALREADY_EXISTS: [36, 'there is a topic of this name'],
  INVALID_PARTITIONS: [37, 'the number of partitions is not allowed'],
  INVALID_REPLICATION_FACTOR: [38, 'the replication factor is below 1 or above the number of brokers'],
  INVALID_REPLICA_ASSIGNMENT: [39, 'the replicas cannot be placed like this'],
  INVALID_CONFIG: [40, 'a setting has a value that is not allowed'],
  NOT_CONTROLLER: [41, 'this broker is not the controller', RETRIABLE],
  INVALID_REQUEST: [42, 'the request contradicts itself or the protocol'],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: [43, 'the stored message format cannot do this'],
  POLICY_VIOLATION: [44, 'a policy of the broker forbids it'],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [45, 'the producer’s sequence numbers have a gap'],
  DUPLICATE_SEQUENCE_NUMBER: [46, 'the producer’s batch was stored before'],
  INVALID_PRODUCER_EPOCH: [47, 'the producer’s epoch is not the current one'],
  INVALID_TXN_STATE: [48, 'the transaction is not in a state for this'],
  INVALID_PRODUCER_ID_MAPPING: [49, 'the producer id does not belong to the transactional id'],
  INVALID_TRANSACTION_TIMEOUT: [50, 'the transaction time-out is longer than the broker allows'],
  CONCURRENT_TRANSACTIONS: [51, 'the previous operation on the transaction is not finished', RETRIABLE],
  TRANSACTION_COORDINATOR_FENCED: [52, 'another transaction coordinator has taken over'],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [53, 'not authorized for the transactional id'],
  SECURITY_DISABLED: [54, 'the broker has no authorizer'],
  OPERATION_NOT_ATTEMPTED: [55, 'not tried, because another part of the request failed'],
  KAFKA_STORAGE_ERROR: [56, 'the log directory of the partition has failed', RETRIABLE],
  LOG_DIR_NOT_FOUND: [57, 'the broker has no such log directory'],
  SASL_AUTHENTICATION_FAILED: [58, 'the credentials are wrong'],
  UNKNOWN_PRODUCER_ID: [59, 'nothing is known of the producer, perhaps because all it wrote has expired'],
  REASSIGNMENT_IN_PROGRESS: [60, 'the partition is being reassigned'],
  DELEGATION_TOKEN_AUTH_DISABLED: [61, 'delegation tokens are off'],
  DELEGATION_TOKEN_NOT_FOUND: [62, 'there is no such delegation token'],
  DELEGATION_TOKEN_OWNER_MISMATCH: [63, 'the principal neither owns the delegation token nor may renew it'],
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: [64, 'delegation tokens cannot be asked for on this kind of connection'],
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: [65, 'not authorized for the delegation token'],
  DELEGATION_TOKEN_EXPIRED: [66, 'the delegation token has expired'],
  INVALID_PRINCIPAL_TYPE: [67, 'the type of principal is not known'],
  NON_EMPTY_GROUP: [68, 'the group still has members'],
  GROUP_ID_NOT_FOUND: [69, 'there is no such group'],
  FETCH_SESSION_ID_NOT_FOUND: [70, 'there is no such fetch session: start a new one', RETRIABLE],
  INVALID_FETCH_SESSION_EPOCH: [71, 'the fetch session has another epoch: start a new one', RETRIABLE],
  LISTENER_NOT_FOUND: [72, 'the leader has no listener of the name that was asked through', RETRIABLE],
  TOPIC_DELETION_DISABLED: [73, 'topics cannot be deleted here (delete.topic.enable)'],
  FENCED_LEADER_EPOCH: [74, 'the leader epoch in the request is behind the broker’s', RETRIABLE],
  UNKNOWN_LEADER_EPOCH: [75, 'the leader epoch in the request is ahead of the broker’s', RETRIABLE],
  UNSUPPORTED_COMPRESSION_TYPE: [76, 'the request’s version has no way to carry the compression that is used'],
  STALE_BROKER_EPOCH: [77, 'the broker has registered again since'],
  OFFSET_NOT_AVAILABLE: [78, 'the new leader does not know the high watermark yet', RETRIABLE],
  MEMBER_ID_REQUIRED: [79, 'join again with the member id in this answer'],
  PREFERRED_LEADER_NOT_AVAILABLE: [80, 'the preferred leader cannot be elected now', RETRIABLE],
  GROUP_MAX_SIZE_REACHED: [81, 'the group is full'],
  FENCED_INSTANCE_ID: [82, 'another member has come with the same group instance id'],
  ELIGIBLE_LEADERS_NOT_AVAILABLE: [83, 'no replica can be elected leader now', RETRIABLE],
  ELECTION_NOT_NEEDED: [84, 'the leader is the wanted one already', RETRIABLE],
  NO_REASSIGNMENT_IN_PROGRESS: [85, 'the partition is not being reassigned'],
  GROUP_SUBSCRIBED_TO_TOPIC: [86, 'the group is subscribed to the topic, its offsets cannot be deleted'],
  INVALID_RECORD: [87, 'a record breaks a rule of the broker or the topic'],
  UNSTABLE_OFFSET_COMMIT: [88, 'offsets are part of a transaction that is not finished', RETRIABLE],
  THROTTLING_QUOTA_EXCEEDED: [89, 'a quota is used up', RETRIABLE],
  PRODUCER_FENCED: [90, 'a newer producer has the same transactional id'],
  RESOURCE_NOT_FOUND: [91, 'something the request names does not exist'],
  DUPLICATE_RESOURCE: [92, 'the request names something twice'],
  UNACCEPTABLE_CREDENTIAL: [93, 'the credential does not meet the rules'],
  INCONSISTENT_VOTER_SET: [94, 'sender and receiver do not agree on who votes'],
  INVALID_UPDATE_VERSION: [95, 'the version of the update is not the expected one'],
  FEATURE_UPDATE_FAILED: [96, 'the features could not be updated'],
  PRINCIPAL_DESERIALIZATION_FAILURE: [97, 'the principal of a forwarded request could not be read'],
  SNAPSHOT_NOT_FOUND: [98, 'there is no such snapshot'],
  POSITION_OUT_OF_RANGE: [99, 'the position is outside the snapshot'],
  UNKNOWN_TOPIC_ID: [100, 'no topic with this id on this broker', RETRIABLE],
  DUPLICATE_BROKER_REGISTRATION: [101, 'another live broker has this id'],
  BROKER_ID_NOT_REGISTERED: [102, 'no broker is registered with this id'],
  INCONSISTENT_TOPIC_ID: [103, 'the topic id in the request is not that of the log', RETRIABLE],
  INCONSISTENT_CLUSTER_ID: [104, 'the request is meant for another cluster'],
  TRANSACTIONAL_ID_NOT_FOUND: [105, 'nothing is known of the transactional id'],
  FETCH_SESSION_TOPIC_ID_ERROR: [106, 'a fetch session cannot change between topic names and ids', RETRIABLE],
  INELIGIBLE_REPLICA: [107, 'a replica of the new ISR may not be in it'],
  NEW_LEADER_ELECTED: [108, 'the change was made, and the leader is another one now'],
  OFFSET_MOVED_TO_TIERED_STORAGE: [109, 'the offset is no longer kept locally'],
  FENCED_MEMBER_EPOCH: [110, 'the member’s epoch is fenced: give up all partitions and join again'],
  UNRELEASED_INSTANCE_ID: [111, 'the group instance id still belongs to another member'],
  UNSUPPORTED_ASSIGNOR: [112, 'the group does not support this assignor'],
  STALE_MEMBER_EPOCH: [113, 'the member’s epoch is behind: it learns the new one by its heartbeat'],
  MISMATCHED_ENDPOINT_TYPE: [114, 'the request belongs to another kind of endpoint'],
  UNSUPPORTED_ENDPOINT_TYPE: [115, 'the kind of endpoint is not known'],
  UNKNOWN_CONTROLLER_ID: [116, 'there is no controller with this id'],
  UNKNOWN_SUBSCRIPTION_ID: [117, 'the telemetry subscription is not the current one'],
  TELEMETRY_TOO_LARGE: [118, 'there are more telemetry bytes than the broker takes'],
  INVALID_REGISTRATION: [119, 'the controller refuses the broker’s registration'],
  TRANSACTION_ABORTABLE: [120, 'the transaction has to be aborted; the transactional id can go on'],
  INVALID_RECORD_STATE: [121, 'the record is not in a state to be acknowledged'],
  SHARE_SESSION_NOT_FOUND: [122, 'there is no such share session', RETRIABLE],
  INVALID_SHARE_SESSION_EPOCH: [123, 'the share session has another epoch', RETRIABLE],
  FENCED_STATE_EPOCH: [124, 'the state of the share group has another epoch'],
  INVALID_VOTER_KEY: [125, 'the key is not that of the voter'],
  DUPLICATE_VOTER: [126, 'the voter is in the set already'],
  VOTER_NOT_FOUND: [127, 'the voter is not in the set'],
  INVALID_REGULAR_EXPRESSION: [128, 'the regular expression cannot be read'],
  REBOOTSTRAP_REQUIRED: [129, 'the client has to start again from its bootstrap servers'],
  STREAMS_INVALID_TOPOLOGY: [130, 'the topology is not valid'],
  STREAMS_INVALID_TOPOLOGY_EPOCH: [131, 'the epoch of the topology is not valid'],
  STREAMS_TOPOLOGY_FENCED: [132, 'the epoch of the topology is behind'],
  SHARE_SESSION_LIMIT_REACHED: [133, 'there are as many share sessions as the broker allows', RETRIABLE],
} as const satisfies { readonly [name: string]: readonly [code: number, message: string, retriable?: true] }

export type ErrorName = keyof typeof TABLE

/** Name -> code. */
export const ErrorCode = Object.fromEntries(Object.entries(TABLE).map(([name, row]) => [name, row[0]])) as {
  readonly [N in ErrorName]: (typeof TABLE)[N][0]
}

/** What is known of a code. */
export interface KafkaError {
  readonly name: ErrorName
  readonly code: number
  readonly retriable: boolean
  readonly message: string
}

const byCode = new Map<number, KafkaError>()
for (const [name, [code, message, retriable]] of Object.entries<readonly [number, string, true?]>(TABLE)) {
  byCode.set(code, { name: name as ErrorName, code, retriable: retriable ?? false, message })
}

/** Every error, by rising code. */
export const kafkaErrors: readonly KafkaError[] = [...byCode.values()]

/** A code that is not in the table (a newer broker's) is an UNKNOWN_SERVER_ERROR that keeps its number. */
export function errorOf(code: number): KafkaError {
  const known = byCode.get(code)
  return known ?? { ...byCode.get(-1)!, code, message: `error code ${code}, which is not known here` }
}
