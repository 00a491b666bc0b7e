/** Appends: how many at once, how durable, how many writers; beside them what a Node program would use instead. */
import type { Micro, Subject } from '../micro.ts'
import { recordsPerBatch } from '../records.ts'
import { openAppendFileStore } from '../stores/append-file-store.ts'
import { openClassicLevelStore } from '../stores/classic-level-store.ts'
import { type LmdbWay, openLmdbStore } from '../stores/lmdb-store.ts'
import { openPagelogStore, pagelogBatchStore } from '../stores/pagelog-store.ts'
import type { OpenStore } from '../stores/store.ts'
import { type AppendPlan, measureAppends } from '../writers.ts'

const SIZES = { '1': 1, '100': 100, '1000': 1000, '64KiB': recordsPerBatch() } as const
const WRITERS = [1, 16, 256] as const

export const appendMicros: readonly Micro[] = Object.keys(SIZES).flatMap((size) =>
  (['os', 'fsync'] as const).flatMap((durability) =>
    WRITERS.map((writers) => appendMicro(size as keyof typeof SIZES, { durability, writers })),
  ),
)

function appendMicro(size: keyof typeof SIZES, { durability, writers }: Omit<AppendPlan, 'recordsPerAppend'>): Micro {
  const plan: AppendPlan = { recordsPerAppend: SIZES[size], durability, writers }
  const what = size === '1' ? 'one record' : size === '64KiB' ? 'a batch of 64 KiB' : `a batch of ${size} records`
  const subject =
    (open: OpenStore): Subject =>
    (context) =>
      measureAppends(context, open, plan)
  const own: Subject = (context) =>
    measureAppends(context, size === '64KiB' ? pagelogBatchStore(context.scale.poolBytes) : openPagelogStore, plan)
  return {
    name: `append.${size}.${durability}.${writers}`,
    title: `append ${what}, ${durability}, ${writers === 1 ? 'one writer' : `${writers} writers at once`}`,
    subjects: {
      pagelog: own,
      'FileHandle.appendFile': subject(openAppendFileStore),
      'classic-level': subject(openClassicLevelStore),
      ...Object.fromEntries(lmdbWays(plan).map((way) => [`lmdb ${way}`, subject((at) => openLmdbStore(at, way))])),
    },
  }
}

/** Of one record no transaction has to be made by hand; a synchronous one has one writer, whatever calls it. */
function lmdbWays({ recordsPerAppend, writers }: AppendPlan): LmdbWay[] {
  const ways: LmdbWay[] = ['batching']
  if (recordsPerAppend > 1) ways.push('transaction')
  if (writers === 1) ways.push('sync-transaction')
  return ways
}
