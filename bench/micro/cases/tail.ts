/** From the call of `append` until a tailing reader in the same process has the record: one at a time. */
import { openLogDirectory } from '../../../src/log/index.ts'
import { LatencyRecorder } from '../../measure/latency.ts'
import { LOG_NAME } from '../logs.ts'
import { measure } from '../measure.ts'
import type { Micro, MicroContext, MicroOutcome } from '../micro.ts'
import { VALUE_BYTES, Values } from '../records.ts'
import type { Durability } from '../stores/store.ts'

export const tailMicros: readonly Micro[] = (['os', 'fsync'] as const).map((durability) => ({
  name: `tail.${durability}`,
  title: `append (${durability}) → seen by a reader that tails the log`,
  subjects: { pagelog: (context) => tailing(context, durability) },
}))

async function tailing({ directory, scale }: MicroContext, durability: Durability): Promise<MicroOutcome> {
  const logs = await openLogDirectory(directory)
  const log = await logs.open(LOG_NAME)
  const values = new Values(scale.poolBytes)
  const latencies = new LatencyRecorder()
  const reader = log.read({ from: 'end', tail: true })[Symbol.asyncIterator]()
  const count = durability === 'os' ? scale.tailRecords : Math.ceil(scale.tailRecords / 10)
  const call = async (): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const value = values.next()
      const startedMs = performance.now()
      const appended = log.append({ value }, { durability })
      const { value: batch } = await reader.next()
      latencies.record(performance.now() - startedMs)
      const { baseOffset } = await appended
      if (batch?.baseOffset !== baseOffset) throw new Error(`seen ${batch?.baseOffset}, appended ${baseOffset}`)
    }
  }
  try {
    return await measure({ scale, unit: 'rec/s', unitsPerCall: count, bytesPerUnit: VALUE_BYTES, latencies, call })
  } finally {
    await reader.return?.()
    await logs.close({ clean: false })
  }
}
