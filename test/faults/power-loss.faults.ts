/**
 * The power goes while a process appends at full speed: what was answered as durable is there when it is back, the rest
 * is a prefix of what was sent. On an ext4 file system of its own that is told to write nothing any more.
 */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkDirectory } from './check-directory.ts'
import { History } from './history.ts'
import { inDirectory, takesAllPoints } from './runs.ts'
import { SmallFileSystem } from './small-file-system.ts'
import { runWorkload } from './strace.ts'

const ROUNDS = takesAllPoints ? 200 : 20

interface Loss {
  /** What a power loss must not do. */
  readonly faults: readonly string[]
  /** What it may do: of appends that were not durable yet. */
  readonly lost: readonly string[]
}

/** Cuts the power after the workload has told `events` things. */
async function losePower(script: string, events: number, fault?: string): Promise<Loss> {
  await using disk = await SmallFileSystem.make(64 << 20)
  const directory = join(disk.path, 'logs')
  let told = 0
  let cut: Promise<void> | undefined
  const run = await runWorkload({
    directory,
    script,
    ...(fault === undefined ? {} : { fault }),
    onEvent(_event, kill) {
      if (++told >= events) cut ??= disk.cutPower().finally(kill)
    },
  })
  await cut
  expect(cut, `the workload ended after ${told} events: ${JSON.stringify(run.events.at(-1))}`).toBeDefined()
  await disk.restorePower()
  const history = new History(run.events)
  return await inDirectory(async (copy) => {
    await cp(directory, copy, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    const faults = await checkDirectory(directory, history, { powerLost: true })
    return { faults, lost: await checkDirectory(copy, history) }
  })
}

test('what was durable survives a loss of power, at any time', async () => {
  let losses = 0
  for (let round = 0; round < ROUNDS; round++) {
    const { faults, lost } = await losePower('endless', 5 + round * 37)
    expect(faults, `round ${round}`).toEqual([])
    if (lost.length > 0) losses++
  }
  // Else the power was never gone: what was not durable has to be missing more often than not.
  expect(losses).toBeGreaterThan(ROUNDS / 2)
})

test('a disk that answers a sync without doing it is found out', async () => {
  const { faults } = await losePower('endless', 300, 'does-not-sync')
  expect(faults).not.toEqual([])
})
