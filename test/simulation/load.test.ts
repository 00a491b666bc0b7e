import { expect, test } from 'vitest'
import { Scheduler, SimulatedMachine, SimulatedNetwork } from '../../src/env/simulated/index.ts'
import { History } from './history.ts'
import { Load } from './load.ts'

test('a consumer that is not where the partition ends is named as stuck, and no other', async () => {
  const scheduler = new Scheduler(1)
  const network = new SimulatedNetwork(scheduler)
  const env = new SimulatedMachine({ scheduler, network, name: 'client' }).start()
  const load = new Load({ env, bootstrap: 'nobody:9092', history: new History() })
  load.consume('reads one', 'topic', 0)
  load.consume('reads two', 'topic', 1)
  const ends = new Map([
    ['topic-0', 3],
    ['topic-1', 0],
  ])
  const text = 'reads one stands at offset 0, the end is 3'
  expect(load.behind(ends)).toEqual([{ verdict: 'stuck', partition: 'topic-0', text }])
  expect(load.behind(new Map())).toEqual([])
  await scheduler.settled(load.close(), 10_000, 'closing')
})
