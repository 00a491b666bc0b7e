/** One broker and its clients in one process, on a simulated network, clock and disk. */
import { expect, test, vi } from 'vitest'
import { Broker } from '../../src/broker/index.ts'
import { Admin } from '../../src/client/index.ts'
import { Scheduler, SimulatedMachine, SimulatedNetwork } from '../../src/env/simulated/index.ts'
import { checkHistory, History, type Violation } from './history.ts'
import { Load } from './load.ts'

const BROKER = 'broker'
const CLIENT = 'client'
const BOOTSTRAP = `${BROKER}:9092`
const TOPIC = 'topic'
const PARTITIONS = 2
const SECOND = 1000
/** A test takes a second or two of CPU. */
const LIMIT_MS = 120_000

vi.setConfig({ testTimeout: LIMIT_MS })

interface Outcome {
  readonly violations: readonly Violation[]
  readonly acknowledged: number
  readonly errors: readonly unknown[]
  readonly trace: string
}

class Simulation {
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  readonly machine: SimulatedMachine
  readonly history = new History()
  readonly load: Load
  readonly admin: Admin

  constructor(seed: number) {
    this.scheduler = new Scheduler(seed)
    this.network = new SimulatedNetwork(this.scheduler)
    const { scheduler, network } = this
    this.machine = new SimulatedMachine({ scheduler, network, name: BROKER })
    const env = new SimulatedMachine({ scheduler, network, name: CLIENT }).start()
    this.load = new Load({ env, bootstrap: BOOTSTRAP, history: this.history })
    this.admin = new Admin({ bootstrap: BOOTSTRAP, env })
  }

  async start(): Promise<void> {
    const settings = { listeners: [`PLAINTEXT://${BOOTSTRAP}`], logDir: '/logs' }
    await this.scheduler.settled(Broker.start({ env: this.machine.start(), settings }), 10 * SECOND, 'the start')
  }

  async createTopic(): Promise<void> {
    const work = this.admin.createTopics([{ topic: TOPIC, partitions: PARTITIONS, replicationFactor: 1 }])
    await this.scheduler.settled(work, 10 * SECOND, 'making the topic')
  }

  begin(): void {
    for (const name of ['p1', 'p2']) this.load.produce(name, TOPIC, PARTITIONS, 20)
    for (let partition = 0; partition < PARTITIONS; partition++) this.load.consume(`c${partition}`, TOPIC, partition)
  }

  /** All is well again: what was sent is answered, and everything is read once more. */
  async finish(): Promise<Outcome> {
    const { scheduler, load, history } = this
    this.network.healAll()
    load.stopSending()
    expect(await scheduler.runUntil(() => load.open === 0, 130 * SECOND)).toBe(true)
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const offsets = history.sends.map((send) => (send.partition === `${TOPIC}-${partition}` ? send.offset : -1))
      const end = Math.max(...offsets) + 1
      const reading = load.readUntil('final', TOPIC, partition, (nextOffset) => nextOffset >= end)
      await scheduler.settled(reading, 60 * SECOND, 'reading at the end')
    }
    await scheduler.settled(Promise.all([load.close(), this.admin.close()]), 10 * SECOND, 'closing the clients')
    const violations = checkHistory(history, { finalReader: 'final' })
    const { trace } = scheduler
    return {
      violations,
      acknowledged: history.acknowledged,
      errors: load.errors,
      trace: `${trace.events} ${trace.hash}`,
    }
  }
}

async function run(seed: number, faults: (simulation: Simulation) => Promise<void>): Promise<Outcome> {
  const simulation = new Simulation(seed)
  await simulation.start()
  await simulation.createTopic()
  simulation.begin()
  await faults(simulation)
  return await simulation.finish()
}

/** A minute in which the network is cut, breaks and swallows. */
async function badNetwork({ scheduler, network }: Simulation, rounds = 12): Promise<void> {
  const { random } = scheduler
  for (let round = 0; round < rounds; round++) {
    await scheduler.run(SECOND + random.below(SECOND))
    const faults = [
      () => network.cut(BROKER, CLIENT),
      () => network.cutOneWay(BROKER, CLIENT),
      () => network.cutOneWay(CLIENT, BROKER),
      () => network.reset(BROKER, CLIENT),
      () => network.swallow(BROKER, CLIENT),
    ]
    faults[random.below(faults.length)]!()
    await scheduler.run(random.below(4 * SECOND))
    network.healAll()
  }
}

/** A minute in which the broker is paused, and killed and started again. */
async function badBroker(simulation: Simulation, rounds = 8): Promise<void> {
  const { scheduler, machine } = simulation
  const { random } = scheduler
  for (let round = 0; round < rounds; round++) {
    await scheduler.run(SECOND + random.below(3 * SECOND))
    if (random.chance(0.5)) {
      machine.pause()
      await scheduler.run(random.below(10 * SECOND))
      machine.resume()
    } else {
      machine.kill()
      await scheduler.run(random.below(5 * SECOND))
      await simulation.start()
    }
  }
}

const seeds = (count: number): number[] => Array.from({ length: count }, (_, seed) => seed)

test.each(seeds(4))('on a bad network nothing is lost, doubled or out of order (seed %i)', async (seed) => {
  const { violations, acknowledged, errors } = await run(seed, (simulation) => badNetwork(simulation))
  expect(violations).toEqual([])
  expect(errors).toEqual([])
  expect(acknowledged).toBeGreaterThan(500)
})

test.each(seeds(4))(
  'a broker that is paused, killed and started again keeps what it acknowledged (seed %i)',
  async (seed) => {
    const { violations, acknowledged, errors } = await run(seed, (simulation) => badBroker(simulation))
    expect(violations).toEqual([])
    expect(errors).toEqual([])
    expect(acknowledged).toBeGreaterThan(500)
  },
)

test('the same seed gives the same trace, another one another', async () => {
  const faults = async (simulation: Simulation): Promise<void> => {
    await badNetwork(simulation, 4)
    await badBroker(simulation, 3)
  }
  const [one, again, other] = [await run(7, faults), await run(7, faults), await run(8, faults)]
  expect(again.trace).toBe(one.trace)
  expect(other.trace).not.toBe(one.trace)
})

// The control: what a lone broker has not synced is lost with its power, and the checker has to see that.
test('a broker that loses power loses what was not synced, and that is found', async () => {
  const verdicts = new Set<string>()
  for (let seed = 0; seed < 10 && !verdicts.has('lost'); seed++) {
    const { violations } = await run(seed, async (simulation) => {
      const { scheduler, machine } = simulation
      await scheduler.run(2 * SECOND)
      machine.crash()
      await scheduler.run(SECOND)
      await simulation.start()
      await scheduler.run(20 * SECOND)
    })
    for (const { verdict } of violations) verdicts.add(verdict)
  }
  expect(verdicts).toContain('lost')
})
