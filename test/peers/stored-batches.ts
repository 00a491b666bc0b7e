/** The batches in the segment files of a partition's directory, read without any help of the log. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { batchesOf, type RecordBatch } from '../../src/record/index.ts'

/** Paths of the segment files, in the order of their offsets. */
export function segmentFiles(directory: string, suffix = '.log'): string[] {
  const names = readdirSync(directory).filter((name) => /^\d{20}\./.test(name) && name.endsWith(suffix))
  return names.sort().map((name) => join(directory, name))
}

export function storedBatches(directory: string): RecordBatch[] {
  return segmentFiles(directory).flatMap((path) => [...batchesOf(readFileSync(path))])
}
