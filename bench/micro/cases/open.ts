/** Opening a log directory again, out of the page cache: after a clean close, after a crash, and with many partitions. */
import { openLogDirectory } from '../../../src/log/index.ts'
import { median } from '../../measure/statistics.ts'
import { fillLog, forgetRecoveryPoint } from '../logs.ts'
import type { Micro, MicroContext, MicroOutcome } from '../micro.ts'
import { recordsPerBatch, VALUE_BYTES, Values } from '../records.ts'

/** Partitions made at the same time. */
const AT_ONCE = 32

export const openMicros: readonly Micro[] = [
  {
    name: 'open.clean',
    title: 'open a log that was closed',
    subjects: { pagelog: (context) => openLog(context, true) },
  },
  {
    name: 'open.unclean',
    title: 'open a log after a crash, nothing known to be synced: all of it is checked',
    subjects: { pagelog: (context) => openLog(context, false) },
  },
  {
    name: 'open.partitions',
    title: 'open a directory of many partitions that were closed',
    subjects: { pagelog: openPartitions },
  },
]

async function openLog({ directory, scale }: MicroContext, clean: boolean): Promise<MicroOutcome> {
  const { logBytes, poolBytes } = scale
  const { logs } = await fillLog(directory, { logBytes, poolBytes, recordsPerBatch: recordsPerBatch() })
  await logs.close({ clean })
  return timedOpens(directory, { clean, runs: scale.openRuns, mebibytes: logBytes / 1048576, partitions: 1 })
}

async function openPartitions({ directory, scale }: MicroContext): Promise<MicroOutcome> {
  await makePartitions(directory, scale.partitions)
  return timedOpens(directory, { clean: true, runs: scale.openRuns, mebibytes: 0, partitions: scale.partitions })
}

/** Partitions with a record each, closed. */
export async function makePartitions(directory: string, count: number): Promise<void> {
  const logs = await openLogDirectory(directory)
  const values = new Values(100 * VALUE_BYTES)
  let next = 0
  const make = async (): Promise<void> => {
    while (next < count) {
      const log = await logs.open(`partition-${next++}`)
      await log.append({ value: values.next() })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, make))
  await logs.close()
}

interface OpenPlan {
  readonly clean: boolean
  readonly runs: number
  readonly mebibytes: number
  readonly partitions: number
}

/** The median; tinybench's warm-up and minimum of calls would only repeat a long operation. */
async function timedOpens(directory: string, { clean, runs, mebibytes, partitions }: OpenPlan): Promise<MicroOutcome> {
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    if (!clean) await forgetRecoveryPoint(directory)
    const startedMs = performance.now()
    const logs = await openLogDirectory(directory)
    times.push(performance.now() - startedMs)
    const found = logs.partitions().length
    await logs.close({ clean })
    if (found !== partitions) throw new Error(`opened ${found} partitions of ${partitions}`)
  }
  const value = median(times)
  return {
    value,
    unit: 'ms',
    calls: runs,
    marginPercent: null,
    mebibytesPerSecond: mebibytes === 0 || clean ? null : (mebibytes * 1000) / value,
    latencyMs: null,
    details: {
      logMiB: mebibytes,
      partitions,
      lowMs: Math.min(...times),
      highMs: Math.max(...times),
      rssMiB: process.memoryUsage.rss() / 1048576,
    },
  }
}
