/** Brokers live on from test to test, and are replaced when they are too many, too few or dead. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeScratch } from '../../bench/process/scratch.ts'
import { startTimeOf } from '../../bench/process/start-time.ts'
import { isStartedHere, type Target } from '../../bench/targets/target.ts'
import { Targets } from '../../bench/targets/targets.ts'
import { waitFor } from '../wait-for.ts'

let parent = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'pagelog-targets-test-'))
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

async function withTargets(work: (take: (brokers: number) => Promise<Target>) => Promise<void>): Promise<void> {
  const { signal } = new AbortController()
  const targets = new Targets({ partitions: 2, scratch: makeScratch(parent), signal })
  try {
    await work(async (brokers) => {
      const target = await targets.take('pagelog', brokers)
      if (!isStartedHere(target)) throw new Error('it was not started here')
      return target
    })
  } finally {
    await targets.close()
  }
}

const isAlive = (target: Target): boolean => target.brokers.some(({ pid }) => startTimeOf(pid) !== undefined)

test('the same one as long as it has as many brokers, and none when all is over', { timeout: 120_000 }, async () => {
  const seen: Target[] = []
  await withTargets(async (take) => {
    seen.push(await take(1), await take(1))
    expect(seen[1]).toBe(seen[0])
    expect(isAlive(seen[0]!)).toBe(true)
    seen.push(await take(3))
    expect(seen[2]!.brokers).toHaveLength(3)
    expect(isAlive(seen[0]!)).toBe(false)
    expect(existsSync(seen[0]!.dataDirectory)).toBe(false)
  })
  expect(isAlive(seen[2]!)).toBe(false)
  expect(existsSync(seen[2]!.dataDirectory)).toBe(false)
})

test('one whose broker died is replaced', { timeout: 120_000 }, async () => {
  await withTargets(async (take) => {
    const first = await take(1)
    process.kill(first.pid, 'SIGKILL')
    await expect(first.failure).rejects.toThrow('broker')
    await waitFor(() => expect(isAlive(first)).toBe(false))
    const second = await take(1)
    expect(second.pid).not.toBe(first.pid)
    expect(isAlive(second)).toBe(true)
  })
})
