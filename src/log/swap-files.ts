/**
 * Completes or undoes a compaction that a crash interrupted, before the segments of a partition are looked at.
 *
 *   .cleaned          being written: dropped
 *   .log.swap         complete and synced, its side files with it: takes the place of the segments in its range
 *   other .swap       its log was not renamed yet, or has its name already (Kafka renames that first): dropped, rebuilt
 *   .deleted, .tmp    dropped: on their way out, or never renamed to what they were written for
 *
 * Where `.cleaned` logs are left beside `.swap` ones of a higher base offset, a segment was being split in several and
 * not all of them are complete: all of them are dropped, since the segment itself is still there.
 *
 * Every step leaves `.log.swap` until all else is done, so that a crash in here repeats it.
 */
import { PagelogError } from '../base/index.ts'
import type { Disk } from '../env/index.ts'
import { BatchScanner } from './batch-scanner.ts'
import {
  baseOffsetOf,
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  SEGMENT_SIDE_SUFFIXES,
  SWAP_SUFFIX,
  segmentFileName,
} from './file-names.ts'

const LEFTOVER_SUFFIXES = [DELETED_SUFFIX, CLEANED_SUFFIX, '.tmp']

/** True when names in the directory have changed. Errors: PAGELOG_CORRUPT (a swap file that is damaged), PAGELOG_STORAGE. */
export async function finishSwaps(disk: Disk, directory: string, names: readonly string[]): Promise<boolean> {
  const leftovers = names.filter((name) => LEFTOVER_SUFFIXES.some((suffix) => name.endsWith(suffix)))
  const swaps = names.filter((name) => name.endsWith(SWAP_SUFFIX))
  if (leftovers.length + swaps.length === 0) return false
  const split = Math.min(...basesWith(leftovers, CLEANED_SUFFIX)) // Infinity without any
  const complete: number[] = []
  for (const base of basesWith(swaps, SWAP_SUFFIX)) {
    if (base < split) complete.push(base)
    else await disk.unlink(`${directory}/${segmentFileName(base, `.log${SWAP_SUFFIX}`)}`)
  }
  for (const name of leftovers) await disk.unlink(`${directory}/${name}`)
  for (const base of complete) await finishSwap(disk, directory, base, names)
  await dropSideSwaps(disk, directory, { swaps, complete, split })
  await disk.syncDirectory(directory)
  return true
}

async function finishSwap(disk: Disk, directory: string, base: number, names: readonly string[]): Promise<void> {
  const pathOf = (offset: number, suffix: string): string => `${directory}/${segmentFileName(offset, suffix)}`
  const endOffset = await endOffsetOf(disk, pathOf(base, `.log${SWAP_SUFFIX}`), base)
  const replaced = names
    .map(baseOffsetOf)
    .filter((offset) => offset !== undefined)
    .filter((offset) => offset > base && offset < endOffset)
  for (const offset of replaced.sort((a, b) => b - a)) {
    for (const suffix of [...SEGMENT_SIDE_SUFFIXES, '.log']) await disk.unlink(pathOf(offset, suffix))
  }
  const hasOld = names.includes(segmentFileName(base, '.log'))
  for (const suffix of SEGMENT_SIDE_SUFFIXES) {
    const isComplete = names.includes(segmentFileName(base, suffix + SWAP_SUFFIX))
    if (isComplete) await disk.rename(pathOf(base, suffix + SWAP_SUFFIX), pathOf(base, suffix))
    else if (hasOld) await disk.unlink(pathOf(base, suffix))
  }
  // Names change on disk in any order: none of what is replaced may come back beside the segment that replaces it.
  await disk.syncDirectory(directory)
  await disk.rename(pathOf(base, `.log${SWAP_SUFFIX}`), pathOf(base, '.log'))
}

/** Side files in `.swap` that belong to no completed swap, and, where their log has its name, what they would replace. */
async function dropSideSwaps(
  disk: Disk,
  directory: string,
  found: { swaps: readonly string[]; complete: readonly number[]; split: number },
): Promise<void> {
  for (const name of found.swaps) {
    const finalName = name.slice(0, -SWAP_SUFFIX.length)
    if (finalName.endsWith('.log')) continue
    const base = Number(finalName.slice(0, finalName.indexOf('.')))
    if (found.complete.includes(base)) continue
    await disk.unlink(`${directory}/${name}`)
    if (base < found.split) await disk.unlink(`${directory}/${finalName}`)
  }
}

/** Offset behind the last batch of a swap file. */
async function endOffsetOf(disk: Disk, path: string, base: number): Promise<number> {
  const file = await disk.open(path, 'read')
  try {
    let endOffset = base
    const scanner = new BatchScanner(file, { from: 0, to: file.size, verify: false })
    while (scanner.next() || (await scanner.more())) endOffset = scanner.lastOffset + 1
    if (scanner.fault === undefined) return endOffset
    const fields = { path, position: scanner.position }
    throw new PagelogError('PAGELOG_CORRUPT', `compacted segment is damaged: ${scanner.fault}`, fields)
  } finally {
    await file.close()
  }
}

function basesWith(names: readonly string[], suffix: string): number[] {
  return names
    .filter((name) => name.endsWith(suffix))
    .map((name) => baseOffsetOf(name.slice(0, -suffix.length)))
    .filter((offset) => offset !== undefined)
}
