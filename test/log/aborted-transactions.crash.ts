/** The aborted transactions of a log are known after an unclean end, whatever its index files still say. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { marker, pairs } from './compaction-support.ts'
import { defaults, openLog, temporaryDirectory } from './support.ts'

const NAME = '00000000000000000000'

/** A log that was closed, with transactions of three producers that overlap, one of them open. */
async function closedLog(indexIntervalBytes: number) {
  const directory = await temporaryDirectory()
  const settings = { ...defaults, indexIntervalBytes }
  const log = await openLog(directory, { settings })
  for (let round = 0; round < 10; round++) {
    for (const id of [1, 2]) {
      const batch = pairs([['key', `${'x'.repeat(200)}`]], 1_700_000_000_000, {
        id,
        sequence: round,
        transactional: true,
      })
      await log.appendBatch(batch, 0)
    }
    for (const id of [1, 2]) await log.appendBatch(marker(id, (round + id) % 3 === 0, 1_700_000_000_000), 0)
  }
  await log.appendBatch(pairs([['key', 'value']], 1_700_000_000_000, { id: 3, sequence: 0, transactional: true }), 0)
  const { logEndOffset, lastStableOffset } = log
  const aborted = await log.abortedTransactions(0, logEndOffset)
  expect(aborted.length).toBeGreaterThan(10)
  await log.close()
  return { directory, settings, logEndOffset, lastStableOffset, aborted }
}

const damages: Record<string, (directory: string) => Promise<void>> = {
  'as they were': async () => {},
  'the transaction index is missing': (directory) => rm(join(directory, `${NAME}.txnindex`)),
  'the offset index is zeros at its end, as Kafka reserves it': async (directory) => {
    const path = join(directory, `${NAME}.index`)
    await writeFile(path, Buffer.concat([await readFile(path), Buffer.alloc(8000)]))
  },
  'all indexes are missing': async (directory) => {
    for (const suffix of ['index', 'timeindex', 'txnindex']) await rm(join(directory, `${NAME}.${suffix}`))
  },
}

it.each(Object.entries(damages))('aborted transactions are known after an unclean end: %s', async (_name, damage) => {
  for (const indexIntervalBytes of [100, 3_300, 1_000_000]) {
    for (const recoveryPointOf of [() => 0, () => 13, (end: number) => end]) {
      const { directory, settings, aborted, logEndOffset, lastStableOffset } = await closedLog(indexIntervalBytes)
      await damage(directory)
      const recoveryPoint = recoveryPointOf(logEndOffset)
      for (const cleanShutdown of [false, false, true]) {
        const log = await openLog(directory, { settings, recoveryPoint, cleanShutdown })
        expect(log.lastStableOffset).toBe(lastStableOffset)
        expect(await log.abortedTransactions(0, logEndOffset)).toEqual(aborted)
        await log.close()
      }
    }
  }
})
