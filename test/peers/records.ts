/** Records as plain values, so that what different clients wrote and read can be compared with `toEqual`. */
import { Admin, type ConsumedBatch, Consumer, type StartingPoint } from '../../src/client/index.ts'

export interface PlainRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
}

const decoder = new TextDecoder('utf-8', { fatal: true })

export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : decoder.decode(bytes)
}

export function plainRecords(batch: ConsumedBatch): PlainRecord[] {
  return Array.from(batch, (record) => ({
    partition: batch.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    key: text(record.key),
    value: text(record.value),
    headers: record.headers.map(({ key, value }) => [key, text(value)] as const),
  }))
}

/** What our consumer reads of a topic between `from` and the ends that it has now, partition by partition. */
export async function readTopic(
  bootstrap: string,
  topic: string,
  from: StartingPoint = 'beginning',
): Promise<PlainRecord[]> {
  await using admin = new Admin({ bootstrap })
  const [info] = await admin.describeTopics([topic])
  const partitions = info!.partitions.map(({ partition }) => partition)
  const ends = await admin.listOffsets(partitions.map((partition) => ({ topic, partition, at: 'end' as const })))
  await using consumer = new Consumer({ bootstrap })
  consumer.assign(partitions.map((partition) => ({ topic, partition, offset: from })))
  const records: PlainRecord[] = []
  for (;;) {
    const missing = ends.filter(({ partition, offset }) => (consumer.position(topic, partition) ?? -1) < offset)
    if (missing.length === 0) break
    // Positions are looked up beside: an empty partition, or one from its end, is done without any batch.
    const batch = await consumer.nextBatch({ timeoutMs: 100 })
    if (batch !== undefined) records.push(...plainRecords(batch))
  }
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}

export async function endOffsets(bootstrap: string, topic: string): Promise<number[]> {
  await using admin = new Admin({ bootstrap })
  const [info] = await admin.describeTopics([topic])
  const questions = info!.partitions.map(({ partition }) => ({ topic, partition, at: 'end' as const }))
  return (await admin.listOffsets(questions)).map(({ offset }) => offset)
}

/** Resolves once `condition` holds; the test's own time limit ends a wait that never will. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10))
}
