/** Against what a Node program would use instead: classic-level and lmdb, with the same records and the same durability. */
import { formatRate } from '../../measure/progress.ts'
import type { Durability } from '../../micro/stores/store.ts'
import { installStores, storeVersions } from '../../peers/stores.ts'
import type { GoalContext } from '../goal.ts'
import { bestOf, compare, type Rounds, takeTurns, withSpread } from './rounds.ts'
import { Station } from './station.ts'
import type { StoreKind } from './store-commands.ts'

const SLICE_MS = 500
/** A slice ends here as well: pagelog's would fill the page cache with what nobody else has to write. */
const SLICE_BYTES = 256 << 20
const VALUE_BYTES = 100
const LMDB = ['lmdb batching', 'lmdb transaction', 'lmdb sync-transaction'] as const

interface Plan {
  readonly durability: Durability
  readonly recordsPerAppend: number
  readonly writers: readonly number[]
}

/** `kind · writers`. */
type Contestant = `${StoreKind} · ${number}`

export async function stores(context: GoalContext): Promise<void> {
  const peers = await installStores(context.signal)
  const versions = storeVersions(peers)
  const atOs = await measureAll(context, peers, { durability: 'os', recordsPerAppend: 100, writers: [1, 16, 256] })
  reportLines(context, atOs, {
    id: 'batch-100.os',
    goal: 5,
    writers: [1, 16, 256],
    how: `batches of 100, os (classic-level sync: false, lmdb noSync), each store with the number of writers that suits it best; ${versions}`,
  })
  const atFsync = await measureAll(context, peers, { durability: 'fsync', recordsPerAppend: 1, writers: [1, 256] })
  const fsync = 'one record an append, fsync (classic-level sync: true, lmdb overlappingSync: false)'
  reportLines(context, atFsync, {
    id: 'one.fsync.1',
    goal: 0.9,
    writers: [1],
    how: `${fsync}, one writer; ${versions}`,
  })
  reportLines(context, atFsync, {
    id: 'one.fsync.256',
    goal: 2,
    writers: [256],
    how: `${fsync}, 256 writers; ${versions}`,
  })
}

async function measureAll(context: GoalContext, peers: string, plan: Plan): Promise<Rounds<Contestant>> {
  const { scratch, signal, progress, runs } = context
  const { durability, recordsPerAppend, writers } = plan
  progress.begin(`stores: ${recordsPerAppend} records an append, ${durability}`)
  const kinds: StoreKind[] = ['pagelog', 'classic-level', ...lmdbWays(recordsPerAppend), 'append-file']
  const stations = new Map(kinds.map((kind) => [kind, new Station(kind, signal)]))
  const contestants: Record<Contestant, () => Promise<number>> = {}
  for (const count of writers) {
    for (const [kind, station] of stations) {
      if (kind === 'lmdb sync-transaction' && count > 1) continue
      const directory = `${scratch.directory('stores')}/store`
      contestants[`${kind} · ${count}`] = async () => {
        await station.call('openStore', { kind, durability, directory, peers })
        const appendsMax = Math.floor(SLICE_BYTES / (recordsPerAppend * VALUE_BYTES))
        const slice = { recordsPerAppend, writers: count, milliseconds: SLICE_MS, appendsMax }
        const { appends, seconds } = await station.call('append', slice)
        await station.call('closeStore', null)
        return (appends * recordsPerAppend) / seconds
      }
    }
  }
  try {
    await takeTurns(1, contestants)
    return await takeTurns(runs + 2, contestants, (name, round) => progress.phase(`${name}, round ${round}`, 0))
  } finally {
    await Promise.all([...stations.values()].map((station) => station.end()))
  }
}

function lmdbWays(recordsPerAppend: number): StoreKind[] {
  return recordsPerAppend === 1 ? ['lmdb batching', 'lmdb sync-transaction'] : [...LMDB]
}

interface Line {
  readonly id: string
  readonly goal: number
  readonly writers: readonly number[]
  readonly how: string
}

function reportLines(context: GoalContext, results: Rounds<Contestant>, { id, goal, writers, how }: Line): void {
  const of = (...kinds: StoreKind[]) =>
    kinds.flatMap((kind) => writers.map((count) => results[`${kind} · ${count}`]).filter((one) => one !== undefined))
  const ours = bestOf(...of('pagelog'))
  const file = compare(ours, bestOf(...of('append-file'))).ratio
  for (const [name, theirs] of [
    ['classic-level', of('classic-level')],
    ['lmdb', of(...LMDB)],
  ] as const) {
    const { ratio, ours: own, theirs: other } = compare(ours, bestOf(...theirs))
    const each =
      writers.length === 1 ? '' : `; with ${writers.map((n) => `${n}: ${atWriters(results, name, n)}`).join(', ')}`
    context.report({
      id: `${id}.${name}`,
      pass: ratio.median >= goal,
      measured: `${withSpread(ratio, (value) => `${value.toFixed(2)} ×`)}, ${formatRate(own.median)} against ${formatRate(other.median)} rec/s`,
      goal: `≥ ${goal} ×`,
      how: `median of ${ours.length} rounds of ${SLICE_MS / 1000} s in turns, a fresh store each; ${how}${each}; of FileHandle.appendFile ${withSpread(file, (value) => `${value.toFixed(2)} ×`)}`,
    })
  }
}

/** The same with the same number of writers on both sides. */
function atWriters(results: Rounds<Contestant>, name: 'classic-level' | 'lmdb', count: number): string {
  const kinds: readonly StoreKind[] = name === 'lmdb' ? LMDB : ['classic-level']
  const theirs = kinds.map((kind) => results[`${kind} · ${count}`]).filter((one) => one !== undefined)
  const { ratio } = compare(results[`pagelog · ${count}`]!, bestOf(...theirs))
  return `${ratio.median.toFixed(2)} ×`
}
