/**
 * ListOffsets, versions 1 - 10. A point in time gives the first record that is not older, with its timestamp; -1 the end
 * (high watermark, also for read_committed: nothing transactional can be written; for a follower the end of the log), -2 the start, -3 (version 7) the
 * record with the highest timestamp, -4 (8) the start, as nothing is tiered, -5 (9) nothing. Any other negative time is
 * refused with UNSUPPORTED_VERSION, a partition asked for twice with INVALID_REQUEST. Only the leader answers; a new one
 * says nothing of the end, nor of what lies behind its high watermark, until that has reached its own epoch:
 * OFFSET_NOT_AVAILABLE from version 5 on, before that LEADER_NOT_AVAILABLE.
 *
 * The end that a process tells that was paused for long may be one of the past, though nothing tells it so yet: it asks the
 * metadata store first whether it still is a broker of its cluster. One that gets no answer believes so (reliability §5.5).
 */
import { ErrorCode, hasCode } from '../../base/index.ts'
import { type Input, ListOffsets, type ListOffsetsRequest, type ListOffsetsResponse } from '../../protocol/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler, type Request } from '../handler.ts'
import { missingPartition } from '../leader-hints.ts'
import type { Partition } from '../partition.ts'

type PartitionRequest = ListOffsetsRequest['topics'][number]['partitions'][number]
type PartitionAnswer = Input<ListOffsetsResponse['topics'][number]['partitions'][number]>

const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
/** Named time -> first version that knows it. */
const firstVersionOf = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
])
/** For that long the metadata store is waited for. */
const STANDING_MS = 1000
const nowhere = { timestamp: -1, offset: -1, leaderEpoch: -1 }

export const listOffsets = handler({
  api: ListOffsets,
  async handle(request, _session, broker) {
    const topics: Input<ListOffsetsResponse['topics'][number]>[] = []
    for (const topic of request.body.topics) {
      const seen = new Set<number>()
      const twice = new Set<number>()
      for (const { partitionIndex } of topic.partitions) {
        if (seen.has(partitionIndex)) twice.add(partitionIndex)
        seen.add(partitionIndex)
      }
      const partitions: PartitionAnswer[] = []
      for (const partition of topic.partitions) {
        partitions.push(
          twice.has(partition.partitionIndex)
            ? refusal(partition, ErrorCode.INVALID_REQUEST)
            : await answerOf(broker, request, topic.name, partition),
        )
      }
      topics.push({ name: topic.name, partitions })
    }
    return { topics }
  },
})

async function answerOf(
  broker: BrokerFacade,
  { version, body }: Request<ListOffsetsRequest>,
  topic: string,
  request: PartitionRequest,
): Promise<PartitionAnswer> {
  const partition = broker.partitions.find(topic, request.partitionIndex)
  if (request.timestamp < 0 && version < (firstVersionOf.get(request.timestamp) ?? Number.POSITIVE_INFINITY)) {
    return refusal(request, ErrorCode.UNSUPPORTED_VERSION)
  }
  if (!partition) {
    return refusal(request, missingPartition(broker, topic, '', request.partitionIndex))
  }
  const isFollower = body.replicaId >= 0
  if (request.timestamp === LATEST && !isFollower) await standing(broker, partition)
  const error = partition.checkLeader(request.currentLeaderEpoch)
  if (error !== ErrorCode.NONE) return refusal(request, error)
  const notYet = version >= 5 ? ErrorCode.OFFSET_NOT_AVAILABLE : ErrorCode.LEADER_NOT_AVAILABLE
  const isKnown = isFollower || partition.isHighWatermarkKnown
  if (!isKnown && request.timestamp === LATEST) return refusal(request, notYet)
  const { leaderEpoch, highWatermark } = partition
  try {
    const found = await find(partition, request.timestamp, isFollower)
    const notHere = partition.checkLeader(leaderEpoch)
    if (notHere !== ErrorCode.NONE) return refusal(request, notHere)
    // A record is there for consumers only below the high watermark, an end or a start also at it.
    const isRecord = request.timestamp >= 0 || request.timestamp === MAX_TIMESTAMP
    const isBeyond = !isFollower && isRecord && found.offset >= highWatermark
    if (isBeyond && !isKnown) return refusal(request, notYet)
    if (isBeyond) return { partitionIndex: request.partitionIndex, errorCode: ErrorCode.NONE, ...nowhere }
    return { partitionIndex: request.partitionIndex, errorCode: ErrorCode.NONE, ...found }
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_STORAGE') && !hasCode(error, 'PAGELOG_CLOSED')) throw error
    return refusal(request, partition.deleted ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.KAFKA_STORAGE_ERROR)
  }
}

/** Resolves when it is known that nobody has declared this broker dead, or nobody answers. */
async function standing({ membership, clock }: BrokerFacade, { isReplicated }: Partition): Promise<void> {
  if (!isReplicated || membership.registration.leaseValid()) return
  await new Promise<void>((resolve) => {
    const timer = clock.after(STANDING_MS, resolve)
    void membership.registration.check().then(() => {
      timer.cancel()
      resolve()
    })
  })
}

async function find(partition: Partition, timestamp: number, isFollower: boolean): Promise<typeof nowhere> {
  const { log, leaderEpoch } = partition
  switch (timestamp) {
    case LATEST:
      return { timestamp: -1, offset: isFollower ? log.logEndOffset : log.highWatermark, leaderEpoch }
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { timestamp: -1, offset: log.logStartOffset, leaderEpoch }
    case MAX_TIMESTAMP:
      return (await log.latestTimestampOffset()) ?? nowhere
    case LATEST_TIERED:
      return nowhere
    default:
      return (await log.offsetForTime(timestamp)) ?? nowhere
  }
}

function refusal(request: PartitionRequest, errorCode: number): PartitionAnswer {
  return { partitionIndex: request.partitionIndex, errorCode, ...nowhere }
}
