/** Reads out of the page cache. */
import { formatMs, formatRate } from '../../measure/progress.ts'
import { median, summarize } from '../../measure/statistics.ts'
import { recordsPerBatch } from '../../micro/records.ts'
import type { GoalContext } from '../goal.ts'
import { withSpread } from './rounds.ts'
import { withStation } from './station.ts'

const LOG_BYTES = 1 << 30
const RECORDS_PER_SECOND = 20e6
const RANDOM_READS = 50_000
const P99_MS = 0.1

export async function read(context: GoalContext): Promise<void> {
  await sequential(context)
  await random(context, 100, 'random-read-p99')
  await random(context, recordsPerBatch(), 'random-read-p99.64KiB')
}

async function sequential(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  progress.begin('read: from the first to the last')
  await withStation('pagelog (sequential read)', signal, async (station) => {
    const directory = scratch.directory('read')
    const batch = { recordsPerBatch: recordsPerBatch(), settings: {} }
    const { bytes } = await station.call('fill', { directory, logBytes: LOG_BYTES, ...batch, leave: 'open' })
    const rates: Record<'checked' | 'unchecked', number[]> = { checked: [], unchecked: [] }
    const perCpuSecond: number[] = []
    // One round more: code compiled.
    for (let round = -1; round < 2 * runs + 1; round++) {
      for (const way of ['checked', 'unchecked'] as const) {
        const { records, seconds, cpuSeconds } = await station.call('sequentialRead', { checkCrcs: way === 'checked' })
        if (round < 0) continue
        rates[way].push(records / seconds)
        if (way === 'checked') perCpuSecond.push(records / cpuSeconds)
        progress.phase(`${way}, round ${round}`, 0)
      }
    }
    const checked = summarize(rates.checked)
    report({
      id: 'sequential-read',
      pass: checked.median >= RECORDS_PER_SECOND,
      measured: `${withSpread(checked, formatRate)} rec/s`,
      goal: `≥ ${formatRate(RECORDS_PER_SECOND)} rec/s`,
      how:
        `median of ${rates.checked.length} passes over ${bytes >> 20} MiB in the page cache, batches of 64 KiB, CRCs checked, buffers reused, length and first byte ` +
        `of every 100-byte value by cursor; without CRC ${withSpread(summarize(rates.unchecked), formatRate)}; ${formatRate(median(perCpuSecond))} for each second of CPU`,
    })
  })
}

async function random(context: GoalContext, recordsInBatch: number, id: string): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  progress.begin(`read: one record anywhere, ${recordsInBatch} in a batch`)
  await withStation('pagelog (random read)', signal, async (station) => {
    const directory = scratch.directory('random')
    const batch = { recordsPerBatch: recordsInBatch, settings: {} }
    await station.call('fill', { directory, logBytes: LOG_BYTES, ...batch, leave: 'open' })
    await station.call('randomReads', { count: RANDOM_READS })
    const p50: number[] = []
    const p99: number[] = []
    for (let round = 0; round < 2 * runs + 1; round++) {
      const latency = await station.call('randomReads', { count: RANDOM_READS })
      p50.push(latency.p50)
      p99.push(latency.p99)
    }
    const summary = summarize(p99)
    report({
      id,
      pass: summary.median <= P99_MS,
      measured: withSpread(summary, formatMs),
      goal: `≤ ${formatMs(P99_MS)}`,
      how:
        `p99 of readAt(offset), one at a time, median of ${p99.length} rounds of ${RANDOM_READS}; ` +
        `p50 ${formatMs(median(p50))}; log of ${LOG_BYTES >> 20} MiB in the page cache, ${recordsInBatch} records a batch, CRC checked`,
    })
  })
}
