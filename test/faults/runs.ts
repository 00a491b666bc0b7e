/** Runs of a workload, each in a fresh directory that goes away with it, and how they are spread over its calls. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { checkDirectory } from './check-directory.ts'
import { History } from './history.ts'
import { CHANGES, callsIn, runWorkload } from './strace.ts'

/** All of the scripts of workload.mjs that a fault may strike anywhere. */
export const scripts = ['appends', 'recovery', 'removal', 'shrinking', 'compaction'] as const

/** `PAGELOG_POINTS=all`: every point there is; otherwise a sample that keeps the tier short. */
export const takesAllPoints = process.env.PAGELOG_POINTS === 'all'

/** `use` is given a path that does not exist yet; what is beside it goes away as well. */
export async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), 'pagelog-faults-'))
  try {
    return await use(join(parent, 'logs'))
  } finally {
    await rm(parent, { recursive: true, force: true })
  }
}

/** How often a whole run of the script makes each call that changes the file system. */
export async function countCalls(script: string): Promise<Map<string, number>> {
  const counts = await countOnce(script)
  if (takesAllPoints) return counts
  // They differ from run to run, and a sample is of those that every run has.
  for (const [call, count] of await countOnce(script)) counts.set(call, Math.min(count, counts.get(call)!))
  return counts
}

async function countOnce(script: string): Promise<Map<string, number>> {
  return await inDirectory(async (directory) => {
    const traceFile = `${directory}.trace`
    const { code, events, errors } = await runWorkload({ directory, script, traceFile })
    expect([code, errors], JSON.stringify(events.at(-1))).toEqual([0, ''])
    expect(await checkDirectory(directory, new History(events))).toEqual([])
    const counts = new Map(CHANGES.map((call) => [call, 0]))
    for (const { name } of callsIn(traceFile)) if (counts.has(name)) counts.set(name, counts.get(name)! + 1)
    return counts
  })
}

/** Up to `max` numbers from 1 to `count`, the first and the last among them. */
export function spread(count: number, max: number): number[] {
  if (count <= max) return Array.from({ length: count }, (_, index) => index + 1)
  const step = (count - 1) / (max - 1)
  return Array.from({ length: max }, (_, index) => 1 + Math.round(index * step))
}

/** At most two at a time: there are two processors. */
export async function twoAtATime<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const worker = async (): Promise<void> => {
    for (const item of waiting) await work(item)
  }
  await Promise.all([worker(), worker()])
}
