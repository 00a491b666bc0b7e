/** A load with the settings of these goals: every record a request of its own, so that a delay is a record's delay. */
import type { StubProcess } from '../../honesty/stub-process.ts'
import type { LoadRun, LoadSettings } from '../../load/result.ts'
import { runLoad } from '../../load/run.ts'
import { loopback } from '../../netns/placement.ts'
import type { GoalContext } from '../goal.ts'

export function stubSettings(rate: number, seconds: number): LoadSettings {
  return {
    ...{ bootstrap: null, topic: null, partitions: 1, replication: 1, producers: 1 },
    tuning: {
      ...{ acks: 1, batchBytes: 1, lingerMs: 0, bufferBytes: 64 << 20 },
      ...{ compression: 'none', maxInFlight: 1000, idempotent: false },
    },
    values: { kind: 'random', bytes: 100 },
    poolBytes: 1 << 20,
    keys: { kind: 'none' },
    arrivals: { kind: 'constant', rate, seconds },
    pacing: 'precise',
    ...{ warmUpSeconds: 1, seconds, drainSeconds: 5, verify: false, seed: 1 },
  }
}

export async function loadStub(
  context: GoalContext,
  stub: StubProcess,
  settings: LoadSettings,
  onProgress: (records: number) => void = () => {},
): Promise<LoadRun> {
  const run = await runLoad({ settings, target: stub, placement: loopback, signal: context.signal, onProgress })
  context.signal.throwIfAborted()
  return run
}
