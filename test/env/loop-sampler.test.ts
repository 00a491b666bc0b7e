import { afterEach, beforeEach, expect, test } from 'vitest'
import { type LoopSampler, processUsage, startLoopSampler } from '../../src/env/index.ts'

let sampler: LoopSampler
beforeEach(() => {
  sampler = startLoopSampler()
})
afterEach(() => sampler.close())

/** Keeps the event loop busy for so much CPU time. */
function burn(ms: number): void {
  const until = process.cpuUsage().user + ms * 1000
  while (process.cpuUsage().user < until);
}

test('sees a turn that held the event loop', async () => {
  await expect.poll(() => sampler.snapshot().turns).toBeGreaterThan(3)
  sampler.reset()
  burn(80)
  await expect.poll(() => sampler.snapshot().turns).toBeGreaterThan(0)
  const { delayMs, cpuMs } = sampler.snapshot()
  expect(delayMs.max).toBeGreaterThan(20)
  if (cpuMs) expect(cpuMs.max).toBeGreaterThan(40)
  expect(delayMs.p50).toBeLessThanOrEqual(delayMs.p99)
  expect(delayMs.p99).toBeLessThanOrEqual(delayMs.max)
})

test('counts the CPU time of a turn, not of all turns between two looks', async () => {
  sampler.reset()
  let turns = 0
  await new Promise<void>((resolve) => {
    const turn = (): void => {
      burn(0.2)
      if (++turns === 400) resolve()
      else setImmediate(turn)
    }
    turn()
  })
  const { cpuMs } = sampler.snapshot()
  // 5 ms of short turns are busy all through, yet each is short.
  if (cpuMs) expect(cpuMs.p50).toBeLessThan(2.5)
})

test('forgets on reset', async () => {
  await expect.poll(() => sampler.snapshot().turns).toBeGreaterThan(0)
  sampler.reset()
  expect(sampler.snapshot()).toMatchObject({ turns: 0, delayMs: { p50: 0, p99: 0, max: 0 } })
})

test('backs off when there is no work, and looks often again as soon as there is some', async () => {
  const resting = startLoopSampler({ backsOff: true, quietTurns: 3 })
  await expect.poll(() => resting.idle).toBe(true)
  resting.busy()
  expect(resting.idle).toBe(false)
  await expect.poll(() => resting.idle).toBe(true)
  resting.reset()
  burn(80)
  await expect.poll(() => resting.snapshot().turns).toBeGreaterThan(0)
  expect(resting.snapshot().delayMs.max).toBeGreaterThan(20)
  resting.close()
  await expect.poll(() => sampler.snapshot().turns).toBeGreaterThan(3)
  expect(sampler.idle).toBe(false)
})

test('takes the little that a quiet process does at times for no work', async () => {
  const resting = startLoopSampler({ backsOff: true, quietTurns: 20 })
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const staysIdle = async (): Promise<boolean> => {
    await until(() => resting.idle)
    const { turns } = resting.snapshot()
    burn(2)
    await until(() => resting.snapshot().turns > turns)
    return resting.idle
  }
  // The process itself may have had more to do at that moment.
  await expect.poll(staysIdle, { timeout: 10_000 }).toBe(true)
  resting.close()
})

test('process usage is that of this process', () => {
  const { cpuSeconds, rss } = processUsage()
  expect(cpuSeconds).toBeGreaterThan(0)
  expect(rss).toBeGreaterThan(10_000_000)
})
