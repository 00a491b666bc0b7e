/** A compacted segment that was cut ends its log until the next is begun: its gaps are no damage, whatever the policy is by then. */
import { expect, it } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { LogDirectory, verifyLog } from '../../src/log/index.ts'
import { compactSettings, machineOn, pairs, recordsIn } from './compaction-support.ts'
import { diskFull, FailingDisk } from './support.ts'

const FILES = { cleanerEnable: false }

/** A compacted log that was cut within its compacted part, and could not begin another segment. */
async function cutAndCrashed(how: 'clean' | 'unclean') {
  const failing = new FailingDisk(memoryDisk())
  const env = { ...machineOn(failing.disk), disk: failing.disk }
  const open = (cleanupPolicy: readonly string[]) => {
    const defaults = { ...compactSettings, segmentBytes: 100_000, indexIntervalBytes: 10_000, cleanupPolicy }
    return LogDirectory.open({ env, path: '/data', defaults, settings: FILES })
  }
  const directory = await open(['compact'])
  const log = await directory.create('table', 0)
  for (let index = 0; index < 40; index++) {
    await log.appendBatch(pairs([[`k${index % 4 === 0 ? index : 1}`, `v${index}`]], 1000), 0)
  }
  await log.compact()
  const kept = await recordsIn(log)
  expect(kept.length).toBeLessThan(20)
  const isNext = (path: string): boolean => path.endsWith('.log') && !path.endsWith('/00000000000000000000.log')
  failing.fails = (operation, path) => (operation === 'open' && isNext(path) ? diskFull(path) : undefined)
  expect(await log.truncateTo(30)).toBeLessThanOrEqual(30)
  expect(log.segmentCount).toBe(1)
  failing.fails = () => undefined
  await directory.close({ clean: how === 'clean' })
  return { open, left: kept.filter(({ offset }) => offset < 30), disk: failing.disk }
}

it.each(['clean', 'unclean'] as const)('opens after a %s close when the policy is delete by then', async (how) => {
  const { open, left } = await cutAndCrashed(how)
  const directory = await open(['delete'])
  expect([...directory.damaged]).toEqual([])
  const log = directory.get('table', 0)!
  expect(await recordsIn(log)).toEqual(left)
  expect((await log.verify()).problems).toEqual([])
  expect((await directory.repair('table', 0)).before.problems).toEqual([])
  expect(await recordsIn(directory.get('table', 0)!)).toEqual(left)
  await directory.close()
})

it('still tells a gap in what was never compacted from one that compaction left', async () => {
  const { open, disk } = await cutAndCrashed('unclean')
  const directory = await open(['delete'])
  const settings = { ...compactSettings, cleanupPolicy: ['delete'] }
  await directory.close({ clean: false })
  const known = { env: { disk }, directory: '/data/table-0', settings }
  expect((await verifyLog({ ...known, compactedEnd: 30 })).problems).toEqual([])
  const { problems } = await verifyLog({ ...known, compactedEnd: 20 })
  expect(problems.filter(({ kind }) => kind === 'offset-order').length).toBeGreaterThan(0)
})
