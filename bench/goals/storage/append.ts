/** Appends of whole batches against the kernel's own copy, and what group commit makes of many small durable ones. */
import { probeBufferedWrites } from '../../limits/limits.ts'
import { formatRate } from '../../measure/progress.ts'
import { summarize } from '../../measure/statistics.ts'
import { BATCH_BYTES, recordsPerBatch } from '../../micro/records.ts'
import type { GoalContext } from '../goal.ts'
import { compare, takeTurns, withSpread } from './rounds.ts'
import { withStation } from './station.ts'
import type { AppendInput, StoreKind } from './store-commands.ts'

/** Small: first writes to memory that the machine has not touched for a while are several times slower, for whoever comes. */
const SLICE_BYTES = 128 << 20
/** One MiB is written while as much is encoded and queued. */
const IN_FLIGHT = 32
const SHARE = 0.7
const GROUP_FACTOR = 50
const WRITERS = 256

export async function append(context: GoalContext): Promise<void> {
  await appendBatches(context)
  await groupCommit(context)
}

async function appendBatches(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  const directory = scratch.directory('append')
  const rounds = 4 * runs + 1
  progress.begin('append: 64 KiB batches and the probe in turns')
  const bytesPerAppend = BATCH_BYTES
  await withStation('pagelog (append)', signal, async (station) => {
    const slice = (kind: StoreKind, writers: number, recordsPerAppend: number) => async (): Promise<number> => {
      const path = `${directory}/store`
      await station.call('openStore', { kind, durability: 'os', directory: path, peers: null })
      const appendsMax = SLICE_BYTES / bytesPerAppend
      const plan: AppendInput = { recordsPerAppend, writers, milliseconds: 60_000, appendsMax }
      const { appends, seconds } = await station.call('append', plan)
      await station.call('closeStore', null)
      return (appends * bytesPerAppend) / seconds
    }
    const contestants = {
      pagelog: slice('pagelog-batches', IN_FLIGHT, 1),
      probe: async () => (await probeBufferedWrites(SLICE_BYTES, bytesPerAppend, directory, { signal })).bytesPerSecond,
      one: slice('pagelog-batches', 1, 1),
      records: slice('pagelog', IN_FLIGHT, recordsPerBatch()),
    }
    await takeTurns(2, contestants) // code compiled, memory touched
    const results = await takeTurns(rounds, contestants, (name, round) => progress.phase(`${name} ${round}`, 0))
    const { ratio, ours, theirs } = compare(results.pagelog, results.probe)
    const one = compare(results.one, results.probe).ratio
    const records = compare(results.records, results.probe).ratio
    report({
      id: 'append-64KiB',
      pass: ratio.median >= SHARE,
      measured: `${withSpread(ratio, percent)} of the probe, ${withSpread(ours, gigabytes)} GB/s`,
      goal: `≥ ${SHARE * 100} %`,
      how:
        `median of ${rounds} slices of ${SLICE_BYTES >> 20} MiB, in turns with a C loop of 64 KiB write()s to a fresh file on the same file ` +
        `system (${withSpread(theirs, gigabytes)} GB/s); append(finished batch), ${IN_FLIGHT} not yet answered, CRC and structure checked; ` +
        `one awaited at a time: ${withSpread(one, percent)}; append(records), encoded here: ${withSpread(records, percent)}`,
    })
  })
}

async function groupCommit(context: GoalContext): Promise<void> {
  const { scratch, signal, progress, runs, report } = context
  const rounds = 2 * runs + 1
  progress.begin('append: fsync, 256 writers and one in turns')
  await withStation('pagelog (group commit)', signal, async (station) => {
    const directory = `${scratch.directory('group')}/store`
    await station.call('openStore', { kind: 'pagelog', durability: 'fsync', directory, peers: null })
    const slice = (writers: number) => async (): Promise<number> => {
      const plan = { recordsPerAppend: 1, writers, milliseconds: 700, appendsMax: Number.MAX_SAFE_INTEGER }
      const { appends, seconds } = await station.call('append', plan)
      return appends / seconds
    }
    const contestants = { many: slice(WRITERS), one: slice(1) }
    await takeTurns(1, contestants)
    const results = await takeTurns(rounds, contestants, (name, round) => progress.phase(`${name} ${round}`, 0))
    await station.call('closeStore', null)
    const { ratio } = compare(results.many, results.one)
    report({
      id: 'group-commit',
      pass: ratio.median >= GROUP_FACTOR,
      measured: `${withSpread(ratio, times)}, ${formatRate(summarize(results.many).median)} against ${formatRate(summarize(results.one).median)} appends/s`,
      goal: `≥ ${GROUP_FACTOR} ×`,
      how: `append of one 100-byte record, durability fsync, each writer awaits its own; ${WRITERS} writers and one in ${rounds} turns of 0.7 s`,
    })
  })
}

const percent = (share: number) => `${(share * 100).toFixed(0)} %`
const times = (ratio: number) => `${ratio.toFixed(ratio < 10 ? 2 : 0)} ×`
const gigabytes = (bytesPerSecond: number) => (bytesPerSecond / 1e9).toFixed(2)
