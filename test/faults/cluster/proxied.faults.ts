/** The cuts of zombies.faults.ts where there is no root: behind proxies. */
import { test } from 'vitest'
import { BUFFERED, isolateLeader } from './buffered.ts'
import { cutAndHeal, cuts, SHORT_SETTINGS } from './cuts.ts'
import { startFor } from './fault-cluster.ts'
import { expectSound } from './outcome.ts'
import { underLoad } from './under-load.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)

test.concurrent('links are cut without root, each kind once, and a leader with waiting appends from all but its clients: nothing is lost, two never lead at once', async (context) => {
  const cluster = await startFor(context, { settings: SHORT_SETTINGS, network: 'proxy' })
  const outcome = await underLoad(cluster, { seed }, async (torture) => {
    for (const cut of cuts) await cutAndHeal(cluster, torture, cut)
    await isolateLeader(cluster, torture)
  })
  expectSound(outcome, 'cut without root', BUFFERED)
})
