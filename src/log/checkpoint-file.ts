/**
 * Kafka's checkpoint files: text, replaced as a whole (temporary file, fsync, rename, fsync of the directory).
 *
 *   0                       version
 *   2                       number of entries
 *   topic 0 1500            one entry a line, fields by blanks
 *   topic 1 90
 *
 * A file that does not read so counts as absent (reliability L7); what that means is up to its owner.
 */
import type { Disk, NameSync } from '../env/index.ts'

const textDecoder = new TextDecoder()
const textEncoder = new TextEncoder()

/** The fields of each entry; undefined when the file is missing, empty, short or otherwise not one. */
export async function readCheckpoint(disk: Disk, path: string, fieldCount: number): Promise<string[][] | undefined> {
  const content = await disk.readFile(path)
  return content && parseCheckpoint(content, fieldCount)
}

/** The same of the content of a file. */
export function parseCheckpoint(content: Uint8Array, fieldCount: number): string[][] | undefined {
  const lines = textDecoder.decode(content).split('\n')
  if (lines[0]?.trim() !== '0' || !/^\d+$/.test(lines[1]?.trim() ?? '')) return undefined
  const count = Number(lines[1])
  const entries = lines.slice(2, 2 + count).map((line) => line.trim().split(/\s+/))
  const isWhole = entries.length === count && entries.every((fields) => fields.length === fieldCount)
  return isWhole && lines.slice(2 + count).every((line) => line.trim() === '') ? entries : undefined
}

export async function writeCheckpoint(
  disk: Disk,
  path: string,
  entries: readonly string[],
  names: NameSync = 'synced',
): Promise<void> {
  await writeCheckpointText(disk, path, entries.length, entries.map((entry) => `${entry}\n`).join(''), names)
}

/** The same of `count` entries that are lines already, each with its end. */
export async function writeCheckpointText(
  disk: Disk,
  path: string,
  count: number,
  lines: string,
  names: NameSync = 'synced',
): Promise<void> {
  await disk.replaceFile(path, textEncoder.encode(`0\n${count}\n${lines}`), names)
}
