/** Many seeds of cluster.test.ts: 1,000 by default, PAGELOG_SEEDS of them from PAGELOG_FIRST_SEED on. */
import { test } from 'vitest'
import { expectSameTraces, runSeeds } from './cluster-run.ts'

const count = Number(process.env.PAGELOG_SEEDS ?? 1000)
const first = Number(process.env.PAGELOG_FIRST_SEED ?? 1000)
const SEEDS_A_TEST = 50
const SEEDS_TWICE = 10
const LIMIT_MS = 600_000

test.each(Array.from({ length: Math.ceil(count / SEEDS_A_TEST) }, (_, at) => first + at * SEEDS_A_TEST))(
  'nothing that was acknowledged is lost, doubled or out of order (seeds from %i)',
  async (from) => {
    await runSeeds(from, Math.min(SEEDS_A_TEST, first + count - from))
  },
  LIMIT_MS,
)

test('the same seed gives the same trace, another one another', () => expectSameTraces(first, SEEDS_TWICE), LIMIT_MS)
