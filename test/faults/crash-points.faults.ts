/**
 * A process is killed before its k-th change of the file system, for k over the whole of a workload: then everything it
 * had answered is there (the page cache outlives a process), the log is a prefix of what was sent, and it opens.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkDirectory } from './check-directory.ts'
import { History } from './history.ts'
import { countCalls, inDirectory, scripts, spread, takesAllPoints, twoAtATime } from './runs.ts'
import { runWorkload } from './strace.ts'

/** Of each system call in each script. */
const POINTS_MAX = takesAllPoints ? Number.POSITIVE_INFINITY : 12

test.each(scripts)('a process killed before any change of the file system loses nothing: %s', async (script) => {
  const points: { call: string; when: number }[] = []
  for (const [call, count] of await countCalls(script)) {
    points.push(...spread(count, POINTS_MAX).map((when) => ({ call, when })))
  }
  let killed = 0
  await twoAtATime(points, async ({ call, when }) => {
    await inDirectory(async (directory) => {
      const inject = `${call}:signal=KILL:when=${when}`
      const { events, signal, code, errors } = await runWorkload({ directory, script, inject })
      const point = `${call} number ${when}: ${JSON.stringify(events.slice(-3))} ${errors}`
      if (signal === 'SIGKILL') killed++
      else expect(code, point).toBe(0) // another run may make a few calls less
      expect(await checkDirectory(directory, new History(events)), point).toEqual([])
    })
  })
  expect(killed).toBeGreaterThan(points.length * 0.9)
})

test('a disk that answers before the kernel has the bytes is found out', async () => {
  const found: string[] = []
  for (const when of [20, 40, 60]) {
    await inDirectory(async (directory) => {
      const inject = `pwrite64:signal=KILL:when=${when}`
      const { events } = await runWorkload({ directory, script: 'appends', fault: 'answers-before-write', inject })
      found.push(...(await checkDirectory(directory, new History(events))))
    })
  }
  expect(found).not.toEqual([])
})

test('a compacted log that lost a segment is found out', async () => {
  await inDirectory(async (directory) => {
    const { events } = await runWorkload({ directory, script: 'compaction' })
    const segments = (await readdir(join(directory, 'keyed-0'))).filter((name) => name.endsWith('.log')).sort()
    expect(segments.length).toBeGreaterThan(2)
    await rm(join(directory, 'keyed-0', segments.at(-2)!))
    expect(await checkDirectory(directory, new History(events))).not.toEqual([])
  })
})
