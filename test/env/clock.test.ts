import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { nodeClock } from '../../src/env/node/clock.ts'
import { nodeRandom } from '../../src/env/node/random.ts'

// Timers of the clock do not keep a process alive; a test has to.
async function alive<T>(work: Promise<T>): Promise<T> {
  const keeper = setInterval(() => {}, 1000)
  try {
    return await work
  } finally {
    clearInterval(keeper)
  }
}

describe('nodeClock', () => {
  test('a timer is never early by the monotonic clock', async () => {
    for (const delayMs of [0, 0.2, 1, 1.9, 3.5, 7]) {
      const startMs = nodeClock.monotonicMs()
      await alive(new Promise<void>((resolve) => nodeClock.after(delayMs, resolve)))
      expect(nodeClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delayMs)
    }
  })

  test('a timer that Node fires early is set again for what is left', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const now = vi.spyOn(performance, 'now').mockReturnValue(100)
    onTestFinished(() => {
      now.mockRestore()
      vi.useRealTimers()
    })
    let fired = 0
    nodeClock.after(5, () => fired++)
    now.mockReturnValue(104.2)
    vi.advanceTimersByTime(5)
    expect(fired).toBe(0)
    now.mockReturnValue(105)
    vi.advanceTimersByTime(1)
    expect(fired).toBe(1)
  })

  test('a cancelled timer does not fire, and a delay beyond what Node takes does not fire at once', async () => {
    let fired = 0
    nodeClock.after(1, () => fired++).cancel()
    const far = nodeClock.after(2 ** 40, () => fired++)
    await alive(new Promise<void>((resolve) => nodeClock.after(5, resolve)))
    far.cancel()
    far.cancel()
    expect(fired).toBe(0)
  })

  test('every calls until it is cancelled, also from inside', async () => {
    let calls = 0
    await alive(
      new Promise<void>((resolve) => {
        const timer = nodeClock.every(1, () => {
          if (++calls < 3) return
          timer.cancel()
          nodeClock.after(5, resolve)
        })
      }),
    )
    expect(calls).toBe(3)
  })

  test('soon calls after the microtasks of this turn', async () => {
    const order: string[] = []
    const done = new Promise<void>((resolve) => {
      nodeClock.soon(() => {
        order.push('soon')
        resolve()
      })
    })
    queueMicrotask(() => order.push('microtask'))
    await done
    expect(order).toEqual(['microtask', 'soon'])
  })

  test('wall time is that of Date', () => {
    expect(Math.abs(nodeClock.nowMs() - Date.now())).toBeLessThan(1000)
  })
})

test('nodeRandom gives fractions below 1 and different bytes', () => {
  for (let i = 0; i < 100; i++) expect(nodeRandom.fraction()).toSatisfy((x: number) => x >= 0 && x < 1)
  expect(nodeRandom.bytes(16)).toHaveLength(16)
  expect(nodeRandom.bytes(16)).not.toEqual(nodeRandom.bytes(16))
})
