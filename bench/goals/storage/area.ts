/** The log as a storage engine: appends, reads, opening and compaction, in one process as a program embeds it. */
import type { GoalArea } from '../goal.ts'
import { append } from './append.ts'
import { compaction } from './compaction.ts'
import { open } from './open.ts'
import { read } from './read.ts'
import { stores } from './stores.ts'

export const storage: GoalArea = {
  name: 'storage',
  parts: [
    { name: 'append', title: '64 KiB batches against a C loop of writes; fsync group commit', run: append },
    { name: 'stores', title: 'against classic-level and lmdb', run: stores },
    { name: 'read', title: 'sequential and random reads out of the page cache', run: read },
    { name: 'open', title: '10,000 clean partitions, 1 GiB unclean, memory of a large log', run: open },
    { name: 'compaction', title: 'compaction beside appends', run: compaction },
  ],
}
