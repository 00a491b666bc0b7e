/** Compaction in a worker thread beside appends at full speed: what it gets done, what the appends keep, what the loop feels. */
import { IdleLoop } from '../../measure/idle-loop.ts'
import { median, summarize } from '../../measure/statistics.ts'
import type { GoalContext } from '../goal.ts'
import type { TurnOutput } from './compaction-commands.ts'
import { compare, withSpread } from './rounds.ts'
import { type Station, withStation } from './station.ts'

const KEYED_BYTES = 512 << 20
/** The cleaner's throttle, reads and writes together: the input is read twice, a quarter of it written. */
const THROTTLE_BYTES_PER_SECOND = 360e6
const INPUT_BYTES_PER_SECOND = 100e6
const APPENDS_KEEP = 0.8
const DELAY_P99_MS = 5
const ALONE_MS = 2_000

export async function compaction(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs } = context
  await withStation('pagelog (compaction)', signal, async (station) => {
    const directory = scratch.directory('compaction')
    await station.call('openCompaction', { directory, bytesPerSecond: THROTTLE_BYTES_PER_SECOND })
    const beside: TurnOutput[] = []
    const alone: TurnOutput[] = []
    const idleLoop = new IdleLoop()
    // One more than counts: code compiled, worker started.
    for (let round = 0; round <= runs; round++) {
      progress.begin(`compaction: round ${round} of ${runs}`)
      const turns = [turn(station, KEYED_BYTES), turn(station, 0)]
      const results: TurnOutput[] = []
      for (const run of round % 2 === 0 ? turns : turns.reverse()) results.push(await run())
      if (round === 0) continue
      beside.push(results.find(({ inputBytes }) => inputBytes > 0)!)
      alone.push(results.find(({ inputBytes }) => inputBytes === 0)!)
    }
    const idle = await idleLoop.stop()
    await station.call('closeCompaction', null)
    reportTurns(
      context,
      beside,
      alone,
      idle === null ? '' : `p99 ${idle.p99.toFixed(2)}, max ${idle.max.toFixed(2)} ms`,
    )
  })
}

function turn(station: Station, keyedBytes: number): () => Promise<TurnOutput> {
  return async () => {
    await station.call('prepareTurn', { keyedBytes })
    return await station.call('takeTurn', { milliseconds: ALONE_MS })
  }
}

function reportTurns(
  { report }: GoalContext,
  beside: readonly TurnOutput[],
  alone: readonly TurnOutput[],
  idle: string,
): void {
  const input = summarize(beside.map(({ inputBytes, seconds }) => inputBytes / seconds))
  const rates = (turns: readonly TurnOutput[]) => turns.map((one) => one.appendedBytesPerSecond)
  const { ratio, ours, theirs } = compare(rates(beside), rates(alone))
  const rounds = `${beside.length} rounds in turns with appends alone`
  const kept = (median(beside.map(({ keptShare }) => keptShare)) * 100).toFixed(0)
  report({
    id: 'compaction-input',
    pass: input.median >= INPUT_BYTES_PER_SECOND,
    measured: `${withSpread(input, megabytes)} MB/s`,
    goal: `≥ ${megabytes(INPUT_BYTES_PER_SECOND)} MB/s`,
    how:
      `${rounds}; log of ${KEYED_BYTES >> 20} MiB in segments of 64 MiB, 100-byte values, four records a key on average, drawn evenly, ${kept} % of the bytes kept; ` +
      `log.cleaner.io.max.bytes.per.second=${THROTTLE_BYTES_PER_SECOND}, appends of 64 KiB batches to another log at full speed beside it`,
  })
  report({
    id: 'appends-beside-compaction',
    pass: ratio.median >= APPENDS_KEEP,
    measured: `${withSpread(ratio, (share) => `${(share * 100).toFixed(0)} %`)} of their rate`,
    goal: `≥ ${APPENDS_KEEP * 100} %`,
    how: `${rounds}; ${withSpread(ours, megabytes)} MB/s beside compaction, ${withSpread(theirs, megabytes)} MB/s alone, in one process`,
  })
  const p99 = (turns: readonly TurnOutput[]) => turns.map(({ loopDelay }) => loopDelay?.p99 ?? Number.NaN)
  const worst = Math.max(...p99(beside))
  report({
    id: 'loop-delay-beside-compaction',
    pass: worst <= DELAY_P99_MS,
    measured: `p99 ${worst.toFixed(2)} ms`,
    goal: `≤ ${DELAY_P99_MS} ms`,
    how:
      `worst of ${beside.length} rounds, the process's own sampler; max ${Math.max(...beside.map(({ loopDelay }) => loopDelay?.max ?? 0)).toFixed(2)} ms; ` +
      `appends alone p99 ${Math.max(...p99(alone)).toFixed(2)} ms; an idle process beside it: ${idle === '' ? 'unknown' : idle}`,
  })
}

const megabytes = (bytesPerSecond: number) => (bytesPerSecond / 1e6).toFixed(0)
