/** Compaction of a whole log in which one record in four is the newest of its key. */
import { openLogDirectory } from '../../../src/log/index.ts'
import { fillKeyed } from '../logs.ts'
import type { Micro, MicroContext, MicroOutcome } from '../micro.ts'

export const compactionMicros: readonly Micro[] = [
  {
    name: 'compaction',
    title: 'a log of which a quarter is kept: bytes of input, nothing else going on',
    subjects: { pagelog: compactOnce },
  },
]

async function compactOnce({ directory, scale }: MicroContext): Promise<MicroOutcome> {
  const logs = await openLogDirectory(directory, { settings: { cleanerEnable: false } })
  try {
    const log = await fillKeyed(logs, 'keyed', scale.compactionBytes)
    const startedMs = performance.now()
    const report = await log.compact()
    const milliseconds = performance.now() - startedMs
    const mebibytesPerSecond = ((report.sizeBefore / 1048576) * 1000) / milliseconds
    return {
      value: mebibytesPerSecond,
      unit: 'MiB/s',
      calls: 1,
      marginPercent: null,
      mebibytesPerSecond,
      latencyMs: null,
      details: {
        recordsPerSecond: (report.recordsRead * 1000) / milliseconds,
        keptPercent: (report.recordsKept / report.recordsRead) * 100,
      },
    }
  } finally {
    await logs.close({ clean: false })
  }
}
