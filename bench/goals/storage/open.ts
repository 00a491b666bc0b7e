/** Opening: many clean partitions, one log after a crash, and what memory a log of any size takes. */
import { formatMiB, formatMs } from '../../measure/progress.ts'
import { summarize } from '../../measure/statistics.ts'
import { recordsPerBatch } from '../../micro/records.ts'
import type { GoalContext } from '../goal.ts'
import type { OpenOutput } from './log-commands.ts'
import { withSpread } from './rounds.ts'
import { withStation } from './station.ts'

const PARTITIONS = 10_000
const PARTITIONS_MS = 3_000
const PARTITIONS_BYTES = 400 << 20
const UNCLEAN_BYTES = 1 << 30
const UNCLEAN_MS = 1_000
/** A log of eight times the size may take this much more: the allocator's grain, not an index of it. */
const GROWTH_BYTES = 16 << 20
const SMALL_LOG_BYTES = 256 << 20
const LARGE_LOG_BYTES = 2 ** 31
/** Less than the index files of either log: both have all that they may. */
const INDEX_MEMORY_BYTES = 2 << 20
const MEMORY_READS = 20_000

export async function open(context: GoalContext): Promise<void> {
  await cleanPartitions(context)
  await uncleanLog(context)
  await memory(context)
}

async function cleanPartitions(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  const directory = scratch.directory('partitions')
  progress.begin(`open: making ${PARTITIONS} partitions`)
  await withStation('pagelog (makes partitions)', signal, (station) =>
    station.call('makeDirectory', { directory, partitions: PARTITIONS }),
  )
  const opened: OpenOutput[] = []
  for (let run = 0; run < runs; run++) {
    progress.begin(`open: ${PARTITIONS} clean partitions, run ${run + 1}`)
    opened.push(await openOnce(context, directory))
  }
  const times = summarize(opened.map((one) => one.milliseconds))
  const peaks = summarize(opened.map((one) => one.residentPeak))
  const how = `${runs} opens, each in a fresh process, files in the page cache; ${opened[0]!.descriptors} descriptors open afterwards`
  report({
    id: 'open-10000-clean',
    pass: times.median <= PARTITIONS_MS && opened.every((one) => one.partitions === PARTITIONS),
    measured: withSpread(times, formatMs),
    goal: `≤ ${formatMs(PARTITIONS_MS)}`,
    how: `${how}; call of openLogDirectory until it resolves`,
  })
  report({
    id: 'open-10000-clean-memory',
    pass: peaks.median <= PARTITIONS_BYTES,
    measured: withSpread(peaks, formatMiB),
    goal: `≤ ${formatMiB(PARTITIONS_BYTES)}`,
    how: `${how}; largest resident set of the process, ${formatMiB(opened[0]!.residentBefore)} before, ${formatMiB(opened[0]!.resident)} after garbage collection`,
  })
}

async function openOnce({ signal }: GoalContext, directory: string, settings = {}): Promise<OpenOutput> {
  return await withStation('pagelog (opens)', signal, async (station) => {
    const opened = await station.call('openDirectory', { directory, settings })
    await station.call('closeDirectory', { clean: true })
    return opened
  })
}

async function uncleanLog(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  const directory = scratch.directory('unclean')
  progress.begin('open: 1 GiB after a crash')
  const batch = { recordsPerBatch: recordsPerBatch(), settings: {} }
  const fill = { directory, logBytes: UNCLEAN_BYTES, ...batch, leave: 'crashed' } as const
  const { bytes } = await withStation('pagelog (fills)', signal, (station) => station.call('fill', fill))
  const times: number[] = []
  for (let run = 0; run < 2 * runs + 1; run++) {
    await withStation('pagelog (recovers)', signal, async (station) => {
      await station.call('forget', { directory })
      const { milliseconds } = await station.call('openDirectory', { directory, settings: {} })
      times.push(milliseconds)
      await station.kill()
    })
  }
  const summary = summarize(times)
  report({
    id: 'open-1GiB-unclean',
    pass: summary.median <= UNCLEAN_MS,
    measured: `${withSpread(summary, formatMs)}, ${((bytes / summary.median) * 1e-6).toFixed(2)} GB/s`,
    goal: `≤ ${formatMs(UNCLEAN_MS)}`,
    how:
      `${times.length} opens, each in a fresh process that is killed afterwards; no clean-shutdown marker, no recovery point: all of ${bytes >> 20} MiB ` +
      'is checked (one log, batches of 64 KiB, in the page cache)',
  })
}

async function memory(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  const settings = { segmentBytes: 64 << 20, indexIntervalBytes: 1024 }
  const sizes = [SMALL_LOG_BYTES, LARGE_LOG_BYTES] as const
  const directories = sizes.map(() => scratch.directory('memory'))
  for (const [i, logBytes] of sizes.entries()) {
    progress.begin(`memory: filling ${logBytes >> 20} MiB`)
    const fill = { directory: directories[i]!, logBytes, recordsPerBatch: 10, settings, leave: 'closed' } as const
    await withStation('pagelog (fills)', signal, (station) => station.call('fill', fill))
  }
  const resident: number[][] = [[], []]
  let indexBytesMax = 0
  const limits = { indexMemoryMaxBytes: INDEX_MEMORY_BYTES }
  for (let run = 0; run < runs; run++) {
    for (const [i, directory] of directories.entries()) {
      progress.begin(`memory: reading ${sizes[i]! / 2 ** 20} MiB, run ${run + 1}`)
      await withStation('pagelog (reads)', signal, async (station) => {
        await station.call('openDirectory', { directory, settings: limits })
        const { resident: bytes, indexBytes } = await station.call('readWhole', { reads: MEMORY_READS })
        resident[i]!.push(bytes)
        indexBytesMax = Math.max(indexBytesMax, indexBytes)
        await station.call('closeDirectory', { clean: true })
      })
    }
  }
  const [small, large] = resident.map((bytes) => summarize(bytes)) as [
    ReturnType<typeof summarize>,
    ReturnType<typeof summarize>,
  ]
  report({
    id: 'memory-of-a-large-log',
    pass: large.median - small.median <= GROWTH_BYTES,
    measured: `${formatMiB(large.median)} at 2 GiB, ${formatMiB(small.median)} at 256 MiB of log`,
    goal: `≤ ${formatMiB(GROWTH_BYTES)} more`,
    how:
      `resident set of a fresh process after garbage collection that read the whole log and ${MEMORY_READS} single records, median of ${runs}; batches of 10 records, ` +
      `index.interval.bytes=1024 (about 40 MiB of index files at 2 GiB), pagelog.index.memory.max.bytes=${INDEX_MEMORY_BYTES >> 20} MiB, at most ${(indexBytesMax / 2 ** 20).toFixed(1)} MiB seen; segments of 64 MiB`,
  })
}
