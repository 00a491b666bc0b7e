/** `partition.metadata` of a partition's directory: which topic it is of, by id, since names are used again (KIP-516). */
import type { Disk } from '../env/index.ts'
import { PARTITION_METADATA_FILE } from './file-names.ts'
import type { PartitionFiles } from './partition-files.ts'

const TOPIC_ID_LINE = /^topic_id:\s*([A-Za-z0-9_-]{22})\s*$/m

/** Undefined when the file is missing or names no id. */
export async function readTopicId(files: PartitionFiles): Promise<string | undefined> {
  const content = await files.contentOf(PARTITION_METADATA_FILE)
  return content === undefined ? undefined : TOPIC_ID_LINE.exec(new TextDecoder().decode(content))?.[1]
}

export async function writeTopicId(disk: Disk, directory: string, topicId: string): Promise<void> {
  const text = `version: 0\ntopic_id: ${topicId}`
  await disk.replaceFile(`${directory}/${PARTITION_METADATA_FILE}`, new TextEncoder().encode(text))
}
