/** Where the broker's time goes under single-producer: V8's CPU profile of the broker process, cut to the measured load. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { singleProducer } from '../../drivers/pagelog-runs.ts'
import type { Session } from '../../drivers/session.ts'
import { startPagelog } from '../../targets/pagelog.ts'
import { type CpuProfile, selfTimes } from '../cpu-profile.ts'
import type { GoalContext } from '../goal.ts'
import { goalSettings } from '../settings.ts'

const GOAL_MICROSECONDS = 30
const BATCH_BYTES = 65_536

export async function profile(context: GoalContext): Promise<void> {
  const { scratch, signal, progress } = context
  const directory = scratch.directory('pagelog')
  const target = await startPagelog({
    directory,
    partitions: 6,
    onStart: (pid) => scratch.remember(pid),
    runtimeFlags: ['--cpu-prof', `--cpu-prof-dir=${directory}`, '--cpu-prof-interval=250'],
    signal,
  })
  let startedMicros = 0
  let endedMicros = 0
  let batches = 0
  let lastRecords = 0
  try {
    progress.begin('single-producer under the profiler')
    const session: Session = {
      target,
      replicationFactor: 1,
      settings: goalSettings('single-producer', 1, null),
      signal,
      onProgress: (phase, records) => {
        progress.phase(phase, records)
        // The broker's profile has the same monotonic clock.
        if (phase === 'measure' && startedMicros === 0) startedMicros = monotonicMicros()
        if (phase === 'drain' && endedMicros === 0) endedMicros = monotonicMicros()
        if (phase === 'measure') lastRecords = records
      },
    }
    const run = await singleProducer(session)
    batches = (run.recordsPerSecond * (run.storedBytesPerRecord ?? 0)) / BATCH_BYTES
    if (lastRecords === 0) throw new Error('the run was too short to be profiled')
  } finally {
    await target.close()
  }
  const file = readdirSync(directory).find((name) => name.endsWith('.cpuprofile'))
  if (file === undefined) throw new Error('the broker left no profile')
  const parsed = JSON.parse(readFileSync(join(directory, file), 'utf8')) as CpuProfile
  const times = selfTimes(parsed, startedMicros, endedMicros)
  const seconds = times.total / 1e6
  const perBatch = (times.javaScript + times.garbageCollector) / (batches * seconds)
  const percent = (micros: number) => `${((micros / times.total) * 100).toFixed(0)} %`
  context.report({
    id: 'broker-js-and-gc-per-batch',
    pass: perBatch <= GOAL_MICROSECONDS,
    measured: `${perBatch.toFixed(1)} µs per 64 KiB`,
    goal: `≤ ${GOAL_MICROSECONDS} µs`,
    how:
      `--cpu-prof of the broker over ${seconds.toFixed(1)} s of load at ${(batches | 0).toString()} batches/s: JavaScript ${percent(times.javaScript)}, ` +
      `GC ${percent(times.garbageCollector)}, native calls from JavaScript (writev, batch check …) ${percent(times.native)}, ` +
      `(program) ${percent(times.program)}, (idle) ${percent(times.idle)}; most: ${times.top.join(', ')}. ` +
      '(program) is libuv and the kernel outside of any JavaScript frame, recv above all',
  })
}

function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
