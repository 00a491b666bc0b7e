/** What the cluster goals are made of, with next to nothing to do; their figures are for `npm run goals -- cluster`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { measure } from '../../bench/goals/cluster/many-partitions.ts'
import { longest, waitOf } from '../../bench/goals/cluster/paced-writers.ts'
import { busiestLeader, WrittenCluster } from '../../bench/goals/cluster/written-cluster.ts'
import type { GoalContext } from '../../bench/goals/goal.ts'
import { Progress } from '../../bench/measure/progress.ts'
import { makeScratch, type Scratch } from '../../bench/process/scratch.ts'

let directory = ''
let scratch: Scratch
let context: GoalContext
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-goals-test-'))
  scratch = makeScratch(directory)
  const { signal } = new AbortController()
  context = { scratch, signal, progress: new Progress(1, { quiet: true }), runs: 1, report: () => {} }
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('of records that were written', () => {
  test('the one that waited longest is found', () => {
    const written = [
      { sentMs: 0, acknowledgedMs: 2 },
      { sentMs: 5, acknowledgedMs: 15 },
      { sentMs: 20, acknowledgedMs: 29 },
    ]
    expect(waitOf(longest(written)!)).toBe(10)
    expect(longest([])).toBeUndefined()
  })

  test('the broker that leads most is the one to lose', () => {
    const led = (partition: number, leaderId: number) => {
      return { partition, leaderId, leaderEpoch: 0, replicas: [1, 2], isr: [1, 2] }
    }
    const topic = { name: 't', id: 'x', isInternal: false, partitions: [led(0, 1), led(1, 2), led(2, 2)] }
    expect(busiestLeader(topic)).toEqual({ id: 2, leads: [1, 2] })
  })
})

test('a death that is hidden is found by the session; revealed, the broker comes back', {
  timeout: 120_000,
}, async () => {
  const overrides = { 'broker.session.timeout.ms': '1000', 'broker.heartbeat.interval.ms': '200' }
  const written = await WrittenCluster.start(context, { partitions: 3, pauseMs: 10, hidesDeaths: true, overrides })
  try {
    const { id, leads } = busiestLeader(await written.whole())
    const child = written.cluster.child(id)
    const killedMs = performance.now()
    child.killNow()
    await child.exited
    await written.written(leads, killedMs + 500, 1000, 60_000)
    const again = longest(written.writers.between(leads[0]!, killedMs, performance.now()))!
    // The store hears of it 1 s after the last heartbeat, which was at most 0.2 s before.
    expect(again.acknowledgedMs - killedMs).toBeGreaterThan(500)
    written.cluster.reveal(id)
    await written.whole()
    expect(written.cluster.child(id).pid).not.toBe(child.pid)
    expect(written.writers.errors).toEqual([])
  } finally {
    await written.close()
  }
})

test('partitions are made, the cluster stops and starts on them, and idles', { timeout: 120_000 }, async () => {
  const cost = await measure(context, 6, 200)
  expect(cost.startMs).toBeGreaterThanOrEqual(cost.registeredMs)
  expect(cost.idleShares).toHaveLength(3)
  for (const bytes of cost.residentBytes) expect(bytes).toBeGreaterThan(1 << 20)
  for (const files of cost.openFiles) expect(files).toBeGreaterThan(3)
})
