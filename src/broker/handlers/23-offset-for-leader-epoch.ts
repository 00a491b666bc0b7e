/**
 * OffsetForLeaderEpoch, versions 2 - 4: of the largest epoch, at most the one asked for, that the leader knows, where it
 * ended; -1 and -1 when there is none. Only the leader answers, of the epoch that the asker believes in.
 */
import { ErrorCode } from '../../base/index.ts'
import { type Input, OffsetForLeaderEpoch, type OffsetForLeaderEpochResponse } from '../../protocol/index.ts'
import { handler } from '../handler.ts'
import { missingPartition } from '../leader-hints.ts'

type PartitionAnswer = Input<OffsetForLeaderEpochResponse['topics'][number]['partitions'][number]>

export const offsetForLeaderEpoch = handler({
  api: OffsetForLeaderEpoch,
  handle({ body }, _session, broker) {
    const topics = body.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }): PartitionAnswer => {
        const partition = broker.partitions.find(topic, index)
        if (!partition) return { partition: index, errorCode: missingPartition(broker, topic, '', index) }
        const errorCode = partition.checkLeader(currentLeaderEpoch)
        if (errorCode !== ErrorCode.NONE) return { partition: index, errorCode }
        const { epoch, endOffset } = partition.endOffsetFor(leaderEpoch)
        return { partition: index, errorCode, leaderEpoch: epoch, endOffset }
      }),
    }))
    return { topics }
  },
})
