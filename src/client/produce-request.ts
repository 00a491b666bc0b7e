/** The batches of one Produce request, one per partition at most, and their place in its body. */
import type { Input, ProduceRequest } from '../protocol/index.ts'
import type { BatchInProgress } from './batch-in-progress.ts'

type TopicData = { name: string; partitionData: { index: number; records: Uint8Array }[] }

/** Groups the batches by topic, in the order given. */
export function produceBody(
  batches: readonly BatchInProgress[],
  acks: -1 | 0 | 1,
  timeoutMs: number,
): Input<ProduceRequest> {
  const topicData: TopicData[] = []
  let topic: TopicData | undefined
  for (const batch of batches) {
    const { topic: name, partition } = batch.queue
    if (topic?.name !== name) {
      topic = topicData.find((other) => other.name === name)
      if (topic === undefined) {
        topic = { name, partitionData: [] }
        topicData.push(topic)
      }
    }
    topic.partitionData.push({ index: partition, records: batch.bytes() })
  }
  return { transactionalId: null, acks, timeoutMs, topicData }
}
