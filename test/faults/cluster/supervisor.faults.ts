/** `pagelog cluster start` is killed: the brokers go on without it, and who is started again finds them. */
import { afterEach, expect, test } from 'vitest'
import { ClusterProcess } from './cluster-process.ts'
import { expectSound } from './outcome.ts'
import { pause, underLoad } from './under-load.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_261_121)

let cluster: ClusterProcess | undefined
afterEach(async () => {
  await cluster?.[Symbol.asyncDispose]()
  cluster = undefined
})

test('kill -9 of the supervisor, of brokers, and of brokers without a supervisor: all go on, no client sees an error', async () => {
  cluster = await ClusterProcess.start({ 'broker.session.timeout.ms': '3000', 'broker.heartbeat.interval.ms': '500' })
  const outcome = await underLoad(cluster, { seed }, async ({ random, writable }) => {
    for (let count = 0; count < 3; count++) {
      const pids = [1, 2, 3].map((id) => cluster!.pidOf(id))
      await cluster!.killSupervisor()
      // Longer than a session: nobody can elect, and nobody needs to.
      await pause(4000)
      await writable()
      await cluster!.startSupervisor()
      await cluster!.whole()
      expect([1, 2, 3].map((id) => cluster!.pidOf(id))).toEqual(pids)

      const id = 1 + random.below(3)
      const epoch = cluster!.epochOf(id)
      // In turn: seen by its supervisor, or found missing by the next one.
      if (count % 2 === 0) await cluster!.killSupervisor()
      cluster!.killBroker(id)
      if (count % 2 === 0) await cluster!.startSupervisor()
      await cluster!.whole(new Map([[id, epoch]]))
      await writable()
    }
  })
  expectSound(outcome, 'supervisors killed')
})
