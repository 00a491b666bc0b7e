/** `partition.metadata` of a partition's directory: which topic it is of, by id, since names are used again (KIP-516). */
import type { Disk, NameSync } from '../env/index.ts'
import { LEADER_EPOCH_FILE, PARTITION_METADATA_FILE } from './file-names.ts'
import { LeaderEpochCheckpoint } from './leader-epoch-checkpoint.ts'
import type { PartitionFiles } from './partition-files.ts'

const TOPIC_ID_LINE = /^topic_id:\s*([A-Za-z0-9_-]{22})\s*$/m

/** Undefined when the file is missing or names no id. */
export async function readTopicId(files: PartitionFiles): Promise<string | undefined> {
  const content = await files.contentOf(PARTITION_METADATA_FILE)
  return content === undefined ? undefined : TOPIC_ID_LINE.exec(new TextDecoder().decode(content))?.[1]
}

/**
 * What a partition that begins has besides its first segment; durable when the caller has synced the directory, with the
 * names of all its files at once. The epoch is that which Kafka's tools expect to find.
 */
export async function writeFirstFiles(
  disk: Disk,
  directory: string,
  topicId: string,
  logStartOffset: number,
): Promise<void> {
  await writeTopicId(disk, directory, topicId, 'unsynced')
  await LeaderEpochCheckpoint.begin(disk, `${directory}/${LEADER_EPOCH_FILE}`, logStartOffset)
}

export async function writeTopicId(
  disk: Disk,
  directory: string,
  topicId: string,
  names: NameSync = 'synced',
): Promise<void> {
  const text = `version: 0\ntopic_id: ${topicId}`
  await disk.replaceFile(`${directory}/${PARTITION_METADATA_FILE}`, new TextEncoder().encode(text), names)
}
