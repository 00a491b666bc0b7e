import { beforeEach, describe, expect, test } from 'vitest'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { BrokerChild } from '../../src/supervisor/index.ts'
import { FakeProcesses } from './fake-processes.ts'

let clock: VirtualClock
let processes: FakeProcesses
let deaths: { pid: number; how: string; retryMs: number | undefined }[]
let failures: unknown[]
let child: BrokerChild
beforeEach(() => {
  clock = new VirtualClock()
  processes = new FakeProcesses()
  deaths = []
  failures = []
  child = new BrokerChild({
    clock,
    processes,
    command: () => ['pagelog', 'broker'],
    logFile: '/log',
    started: () => {},
    died: ({ pid }, how, retryMs) => deaths.push({ pid, how, retryMs }),
    failed: (error) => failures.push(error),
  })
})

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
const die = async (how = 'status 1'): Promise<void> => {
  processes.alive[0]!.end(how)
  await settle()
}
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms)
  await settle()
}

describe('a process that dies', () => {
  test('is started again, later each time it dies young, at most half a minute later', async () => {
    await child.start()
    for (let death = 0; death < 10; death++) {
      await die()
      await pass(deaths.at(-1)!.retryMs!)
    }
    expect(deaths.map(({ retryMs }) => retryMs)).toEqual([200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000])
    expect(processes.started).toHaveLength(11)
    expect(processes.alive).toHaveLength(1)
  })

  test('after a long life is started again soon', async () => {
    await child.start()
    await die()
    await pass(200)
    await pass(61_000)
    await die()
    expect(deaths.map(({ retryMs }) => retryMs)).toEqual([200, 200])
  })

  test('that cannot be started again is tried on', async () => {
    await child.start()
    await die()
    processes.refusal = new Error('no memory')
    await pass(200)
    expect(failures).toEqual([processes.refusal])
    processes.refusal = undefined
    await pass(30_000)
    expect(processes.alive).toHaveLength(1)
  })
})

describe('an adopted process', () => {
  test('is not started as long as it lives, and is when it is gone', async () => {
    const { mark } = await processes.start(['other'])
    child.adopt(mark)
    for (let look = 0; look < 10; look++) await pass(200)
    expect(processes.started).toHaveLength(1)
    processes.alive[0]!.end('')
    await pass(200)
    expect(deaths).toMatchObject([{ pid: mark.pid, retryMs: 200 }])
    await pass(200)
    expect(processes.started).toHaveLength(2)
  })

  test('is let be by a supervisor that gives up', async () => {
    const { mark } = await processes.start(['other'])
    child.adopt(mark)
    child.release()
    processes.alive[0]!.end('')
    await pass(1000)
    expect(deaths).toEqual([])
    expect(processes.started).toHaveLength(1)
  })
})

describe('stopping', () => {
  test('asks, waits for the end, and starts nothing any more', async () => {
    await child.start()
    expect(await child.stop()).toBe(true)
    expect(processes.started[0]!.signals).toEqual(['SIGTERM'])
    await pass(60_000)
    expect(processes.started).toHaveLength(1)
  })

  test('kills what does not end', async () => {
    processes.onSignal = (process, signal) => {
      if (signal === 'SIGKILL') process.end('signal SIGKILL')
    }
    await child.start()
    const stopping = child.stop()
    await settle()
    await pass(60_000)
    expect(await stopping).toBe(false)
    expect(processes.started[0]!.signals).toEqual(['SIGTERM', 'SIGKILL'])
  })

  test('while a process is being started ends that one', async () => {
    const starting = child.start()
    expect(await child.stop()).toBe(true)
    await starting
    expect(processes.alive).toEqual([])
    await child.start()
    expect(processes.started).toHaveLength(1)
  })

  test('between two lives starts none', async () => {
    await child.start()
    await die()
    expect(await child.stop()).toBe(true)
    await pass(60_000)
    expect(processes.started).toHaveLength(1)
  })
})
