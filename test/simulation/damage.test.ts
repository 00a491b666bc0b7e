/**
 * Bytes of records change on the disks of replicas that were closed in order, among all else that may happen to a cluster:
 * they are found, the replicas copied anew, and nothing that was acknowledged is lost. PAGELOG_SEED=n runs only that one.
 */
import { expect, test } from 'vitest'
import { runSeed } from './cluster-run.ts'

const only = process.env.PAGELOG_SEED === undefined ? undefined : Number(process.env.PAGELOG_SEED)
const SEEDS = only === undefined ? [100, 101, 102, 103, 104, 105] : [only]
const FAULTS = 20

test('a damaged replica is copied anew, and is never the reason that a record is lost', async () => {
  let found = 0
  for (const seed of SEEDS) {
    const { damages } = await runSeed(seed, { damages: true, faults: FAULTS, isTold: only !== undefined })
    found += damages
  }
  expect(found).toBeGreaterThan(0)
}, 240_000)
