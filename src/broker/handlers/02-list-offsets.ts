/**
 * ListOffsets, versions 1 - 10. A point in time gives the first record that is not older, with its timestamp; -1 the end
 * (high watermark, also for read_committed: nothing transactional can be written), -2 the start, -3 (version 7) the
 * record with the highest timestamp, -4 (8) the start, as nothing is tiered, -5 (9) nothing. Any other negative time is
 * refused with UNSUPPORTED_VERSION, a partition asked for twice with INVALID_REQUEST.
 */
import { ErrorCode, hasCode } from '../../base/index.ts'
import { type Input, ListOffsets, type ListOffsetsRequest, type ListOffsetsResponse } from '../../protocol/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'
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
            : await answerOf(broker, request.version, topic.name, partition),
        )
      }
      topics.push({ name: topic.name, partitions })
    }
    return { topics }
  },
})

async function answerOf(
  broker: BrokerFacade,
  version: number,
  topic: string,
  request: PartitionRequest,
): Promise<PartitionAnswer> {
  const partition = broker.partitions.find(topic, request.partitionIndex)
  if (request.timestamp < 0 && version < (firstVersionOf.get(request.timestamp) ?? Number.POSITIVE_INFINITY)) {
    return refusal(request, ErrorCode.UNSUPPORTED_VERSION)
  }
  if (!partition) {
    const known = broker.image.topic(topic)?.partitions[request.partitionIndex] !== undefined
    return refusal(request, known ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  }
  const epochError = partition.checkLeaderEpoch(request.currentLeaderEpoch)
  if (epochError !== ErrorCode.NONE) return refusal(request, epochError)
  try {
    const found = await find(partition, request.timestamp)
    return { partitionIndex: request.partitionIndex, errorCode: ErrorCode.NONE, ...found }
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_STORAGE') && !hasCode(error, 'PAGELOG_CLOSED')) throw error
    return refusal(request, partition.deleted ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.KAFKA_STORAGE_ERROR)
  }
}

async function find(partition: Partition, timestamp: number): Promise<typeof nowhere> {
  const { log, leaderEpoch } = partition
  switch (timestamp) {
    case LATEST:
      return { timestamp: -1, offset: log.highWatermark, leaderEpoch }
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
