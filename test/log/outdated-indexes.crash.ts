/**
 * Index files that an earlier process left say nothing of what came after it. Once their segment is not the last one any
 * more they are believed: so they have to be of all its batches before there is another.
 */
import { expect, it } from 'vitest'
import { LyingDisk, VirtualClock } from '../../src/env/simulated/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { waitFor } from '../wait-for.ts'
import { compactSettings, machineOn, marker, pairs, recordsIn } from './compaction-support.ts'

/** Steps of the disk in which a segment is sealed and the next one begun. */
const STEPS = 60

it('a transaction is known as aborted whenever a crash comes while its segment is sealed', async () => {
  for (let step = 0; step < STEPS; step++) {
    for (const seed of [step, step + 1000, step + 2000]) {
      const { isLeft, aborted } = await afterCrash(seed, step)
      expect(isLeft && aborted.length === 0, `seed ${seed}, crash at step ${step}`).toBe(false)
    }
  }
})

/** `isLeft`: compaction has not removed the record of the transaction. */
async function afterCrash(seed: number, step: number) {
  const clock = new VirtualClock()
  const lying = new LyingDisk({ seed, clock, coldReads: 0 })
  const open = async (): Promise<{ directory: LogDirectory; log: Log }> => {
    const env = machineOn(lying.disk, clock, seed)
    const settings = { cleanerEnable: false }
    const directory = await LogDirectory.open({ env, path: '/data', defaults: compactSettings, settings })
    return { directory, log: await directory.create('table', 0) }
  }
  const before = await open()
  await before.log.appendBatch(pairs([['a', '1']], clock.nowMs()), 0)
  await before.directory.close() // with index files

  const { directory, log } = await open()
  const transaction = { id: 1, sequence: 0, transactional: true }
  await log.appendBatch(pairs([['a', '2']], clock.nowMs(), transaction), 0)
  await log.appendBatch(marker(1, false, clock.nowMs()), 0)
  await log.flush()
  clock.advance(61_000)
  await waitFor(async () => {
    const content = await lying.disk.readFile('/data/recovery-point-offset-checkpoint')
    expect(new TextDecoder().decode(content)).toContain('table 0 3')
  })
  lying.stopAt(lying.steps + 1 + step)
  await log.compact({ seal: true }).catch(() => {})
  await directory.close({ clean: false }).catch(() => {})
  lying.crash()

  const after = await open()
  try {
    const isLeft = (await recordsIn(after.log)).some(({ offset }) => offset === 1)
    return { isLeft, aborted: await after.log.abortedTransactions(0, after.log.logEndOffset) }
  } finally {
    await after.directory.close()
  }
}
