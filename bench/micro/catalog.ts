/** All micro-benchmarks, in the order of the table. */
import { appendMicros } from './cases/append.ts'
import { codecMicros } from './cases/codec.ts'
import { compactionMicros } from './cases/compaction.ts'
import { openMicros } from './cases/open.ts'
import { readMicros } from './cases/read.ts'
import { tailMicros } from './cases/tail.ts'
import type { Micro } from './micro.ts'

export const micros: readonly Micro[] = [
  ...appendMicros,
  ...readMicros,
  ...tailMicros,
  ...openMicros,
  ...compactionMicros,
  ...codecMicros,
]
