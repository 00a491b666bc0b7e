import { describe, expect, test } from 'vitest'
import { Scheduler } from '../../src/env/simulated/index.ts'

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

describe('Scheduler', () => {
  test('events happen in the order of their times, whatever that of setting', async () => {
    const scheduler = new Scheduler(1)
    const seen: number[] = []
    for (const ms of [50, 10, 40, 10.5, 0, 1e6]) scheduler.world.after(ms, () => seen.push(scheduler.elapsedMs))
    await scheduler.run(1000)
    expect(seen).toEqual([0, 10, 10.5, 40, 50])
    expect(scheduler.elapsedMs).toBe(1000)
    expect(scheduler.waiting).toBe(1)
  })

  test('an event happens when all that the one before it set off is through', async () => {
    const scheduler = new Scheduler(1)
    const seen: string[] = []
    for (const name of ['a', 'b', 'c']) {
      scheduler.world.after(1, () => {
        seen.push(`${name} begins`)
        void turns(500).then(() => seen.push(`${name} ends`))
      })
    }
    await scheduler.run(1)
    expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  test('of one actor what is due at once happens in the order of setting; among actors the seed decides', async () => {
    const orders = new Set<string>()
    for (let seed = 0; seed < 30; seed++) {
      const scheduler = new Scheduler(seed)
      const seen: string[] = []
      const actors = ['a', 'b', 'c'].map((name) => scheduler.actor(name))
      for (const round of [1, 2]) for (const actor of actors) actor.after(5, () => seen.push(`${actor.name}${round}`))
      await scheduler.run(5)
      for (const { name } of actors) expect(seen.indexOf(`${name}1`)).toBeLessThan(seen.indexOf(`${name}2`))
      orders.add(seen.join())
    }
    expect(orders.size).toBeGreaterThan(3)
  })

  test('a minute takes no minute, and timers set on the way happen on the way', async () => {
    const scheduler = new Scheduler(1)
    let ticks = 0
    const interval = scheduler.world.every(10, () => ticks++)
    const later = (): void => void scheduler.world.after(1000, later)
    later()
    await scheduler.run(60_000)
    expect(ticks).toBe(6000)
    interval.cancel()
    await scheduler.run(60_000)
    expect(ticks).toBe(6000)
  })

  test('what is cancelled does not happen, also when it was being held back', async () => {
    const scheduler = new Scheduler(1)
    const actor = scheduler.actor('a')
    let calls = 0
    const timers = Array.from({ length: 5000 }, () => actor.after(1, () => calls++))
    for (const timer of timers.slice(1000)) timer.cancel()
    actor.pause()
    await scheduler.run(10)
    for (const timer of timers.slice(500)) timer.cancel()
    actor.resume()
    await scheduler.run(10)
    for (const timer of timers) timer.cancel()
    expect(calls).toBe(500)
    expect(scheduler.waiting).toBe(0)
  })

  test('a paused actor does later what it should have done, in order; others go on', async () => {
    const scheduler = new Scheduler(1)
    const [paused, other] = [scheduler.actor('paused'), scheduler.actor('other')]
    const seen: string[] = []
    for (const ms of [1, 2, 3]) paused.after(ms, () => seen.push(`paused ${ms} at ${paused.monotonicMs()}`))
    other.after(2, () => seen.push('other'))
    paused.pause()
    await scheduler.run(100)
    expect(seen).toEqual(['other'])
    paused.resume()
    await scheduler.run(0)
    expect(seen.slice(1)).toEqual(['paused 1 at 100', 'paused 2 at 100', 'paused 3 at 100'])
  })

  test('one that stands still now and then finds that time has passed, and does later what was due; others do not wait', async () => {
    const scheduler = new Scheduler(1)
    const [stalling, other] = [scheduler.actor('stalling'), scheduler.actor('other')]
    stalling.stall({ chance: 0.5, msMax: 10 })
    const late: number[] = []
    let passedMs = 0
    for (let ms = 1; ms <= 100; ms++) {
      other.after(ms, () => expect(scheduler.elapsedMs).toBe(ms))
      stalling.after(ms, () => {
        const nowMs = stalling.monotonicMs()
        late.push(nowMs - ms)
        passedMs += stalling.monotonicMs() - nowMs
      })
    }
    await scheduler.run(5000)
    expect(late.length).toBe(100)
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0)
    expect(passedMs).toBeGreaterThan(50)
    // What others bring it comes in their order, however often it stands still.
    const heard: number[] = []
    for (let count = 0; count < 100; count++) {
      const bring = (): void => {
        stalling.after(0, () => {
          stalling.monotonicMs()
          heard.push(count)
        })
      }
      other.after(1 + (count >> 2), bring)
    }
    await scheduler.run(5000)
    expect(heard).toEqual(Array.from({ length: 100 }, (_, count) => count))
    // Its own timers come no earlier than asked for by its own clock.
    const fromMs = stalling.monotonicMs()
    let atMs = 0
    stalling.after(100, () => {
      atMs = stalling.monotonicMs()
    })
    await scheduler.run(1000)
    expect(atMs - fromMs).toBeGreaterThanOrEqual(100)
  })

  test('a dead actor does nothing any more', async () => {
    const scheduler = new Scheduler(1)
    const actor = scheduler.actor('a')
    let calls = 0
    actor.every(1, () => calls++)
    await scheduler.run(10)
    actor.die()
    actor.soon(() => calls++)
    await scheduler.run(10)
    expect(calls).toBe(10)
  })

  test('runUntil stops right after the event that made it true, or says that the time was not enough', async () => {
    const scheduler = new Scheduler(1)
    let count = 0
    scheduler.world.every(10, () => count++)
    expect(await scheduler.runUntil(() => count === 3, 1000)).toBe(true)
    expect(scheduler.elapsedMs).toBe(30)
    expect(await scheduler.runUntil(() => count === 1000, 100)).toBe(false)
    await expect(scheduler.settled(new Promise(() => {}), 50)).rejects.toThrow('50 ms of virtual time')
    await expect(scheduler.settled(Promise.reject(new Error('no')), 50)).rejects.toThrow('no')
  })

  test('what an event throws ends the run, and so does a check after it', async () => {
    const scheduler = new Scheduler(1)
    scheduler.world.after(1, () => {
      throw new Error('bad event')
    })
    await expect(scheduler.run(10)).rejects.toThrow('bad event')
    scheduler.onEvent = () => {
      if (scheduler.elapsedMs >= 5) throw new Error('bad state')
    }
    scheduler.world.after(3, () => {})
    scheduler.world.after(5, () => {})
    await expect(scheduler.run(10)).rejects.toThrow('bad state')
  })

  test('the same seed gives the same trace, another one another', async () => {
    const hashOf = async (seed: number): Promise<string> => {
      const scheduler = new Scheduler(seed)
      const actors = ['a', 'b', 'c'].map((name) => scheduler.actor(name))
      for (const actor of actors) {
        const again = (): void => void actor.after(scheduler.random.below(3), again)
        again()
      }
      await scheduler.run(100)
      return `${scheduler.trace.events} ${scheduler.trace.hash}`
    }
    const hashes = await Promise.all([1, 1, 2, 3].map(hashOf))
    expect(hashes[0]).toBe(hashes[1])
    expect(new Set(hashes).size).toBe(3)
  })
})
