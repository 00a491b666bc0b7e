/**
 * Three brokers and clients in one process, tormented as a seed has it. What must hold is looked at after every event;
 * then everything heals, has to converge in bounded virtual time, and every acknowledged record must be there, once and
 * in order. A few seeds; cluster.faults.ts runs many. PAGELOG_SEED=n runs only that one, and shows what the brokers logged.
 */
import { test } from 'vitest'
import { expectSameTraces, runSeed, runSeeds } from './cluster-run.ts'

const only = process.env.PAGELOG_SEED === undefined ? undefined : Number(process.env.PAGELOG_SEED)
const SEEDS_A_TEST = 4
const LIMIT_MS = 120_000

if (only !== undefined) {
  test(`seed ${only}`, async () => void (await runSeed(only, { isTold: true })), LIMIT_MS)
} else {
  test.each([0, 4, 8])(
    'nothing that was acknowledged is lost, doubled or out of order (seeds from %i)',
    async (from) => {
      await runSeeds(from, SEEDS_A_TEST)
    },
    LIMIT_MS,
  )

  test('the same seed gives the same trace, another one another', async () => await expectSameTraces(4711, 3), LIMIT_MS)
}
