/**
 * A disk that is really full, 64 MiB of ext4: appends are refused and say why, reads go on, and as soon as there is room
 * appends go on too, round after round, with nothing to repair.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import { Admin, Producer } from '../../src/client/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { readTopic } from '../peers/records.ts'
import { checkDirectory, faultSettings } from './check-directory.ts'
import { History, type WorkloadEvent } from './history.ts'
import { SmallFileSystem } from './small-file-system.ts'

const ROUNDS = 50
const DISK_BYTES = 64 << 20
/** What a round frees, and fills again. */
const BALLAST_BYTES = 1 << 20
const settings = { ...faultSettings, segmentBytes: 256 << 10, maxMessageBytes: 1 << 20 }

/** The ballast files of all rounds. */
async function loadBallast(disk: SmallFileSystem, rounds: number): Promise<(round: number) => Promise<void>> {
  const pathOf = (round: number): string => join(disk.path, `ballast-${round}`)
  for (let round = 0; round < rounds; round++) await writeFile(pathOf(round), Buffer.alloc(BALLAST_BYTES, 1))
  return (round) => rm(pathOf(round))
}

let nextId = 0
async function append(log: Log, name: string, events: WorkloadEvent[], bytes: number): Promise<void> {
  const id = nextId++
  events.push({ what: 'append', log: name, id, count: 1 })
  try {
    const { baseOffset, lastOffset } = await log.append({ value: Buffer.from(`${id}.0 `.padEnd(bytes, 'x')) })
    events.push({ what: 'appended', log: name, id, base: baseOffset, last: lastOffset })
  } catch (error) {
    events.push({ what: 'refused', log: name, id, code: (error as { code: string }).code })
    throw error
  }
}

/** Appends of many sizes until one is refused, which has to be for want of space. */
async function fillUp(log: Log, name: string, events: WorkloadEvent[]): Promise<number> {
  for (let appended = 0; ; appended++) {
    try {
      await append(log, name, events, 1_000 + ((appended * 7_919) % 60_000))
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_DISK_FULL')) throw error
      return appended
    }
  }
}

/** Reads the whole log, CRCs checked; the offset behind it. */
async function readable(log: Log): Promise<number> {
  let next = log.logStartOffset
  for await (const batch of log.read({ reuseBuffers: true })) next = batch.lastOffset + 1
  return next
}

test('appends to a full disk are refused, reads go on, and appends too once there is room', async () => {
  await using disk = await SmallFileSystem.make(DISK_BYTES)
  const free = await loadBallast(disk, ROUNDS)
  const path = join(disk.path, 'logs')
  const events: WorkloadEvent[] = []
  const directory = await LogDirectory.open({ env: nodeEnv(), path, defaults: settings })
  const logs = await Promise.all(['a', 'b'].map((name) => directory.create(name, 0)))
  for (const name of ['a', 'b']) events.push({ what: 'creating', log: name }, { what: 'created', log: name })

  for (let round = 0; round < ROUNDS; round++) {
    const appended = await Promise.all(logs.map((log, index) => fillUp(log, 'ab'[index]!, events)))
    expect(appended[0]! + appended[1]!, `round ${round}`).toBeGreaterThan(0)
    for (const log of logs) expect(await readable(log)).toBe(log.logEndOffset)
    expect(directory.offline).toBe(false)
    await free(round)
  }
  // The last round left room for a clean end.
  await directory.close()
  expect(await checkDirectory(path, new History(events))).toEqual([])
})

test('a directory that is closed while the disk is full opens again, with everything', async () => {
  await using disk = await SmallFileSystem.make(DISK_BYTES)
  const free = await loadBallast(disk, 1)
  const path = join(disk.path, 'logs')
  const events: WorkloadEvent[] = [{ what: 'created', log: 'a' }]
  const directory = await LogDirectory.open({ env: nodeEnv(), path, defaults: settings })
  const log = await directory.create('a', 0)
  await fillUp(log, 'a', events)
  while ((await append(log, 'a', events, 1).catch((error: unknown) => error)) === undefined) {
    // until not even the smallest one fits
  }
  await writeFile(join(disk.path, 'filler'), Buffer.alloc(1 << 20)).catch(() => {})
  const ended = await directory.close().catch((error: unknown) => error)
  if (ended !== undefined) expect(ended).toMatchObject({ code: 'PAGELOG_DISK_FULL' })
  await free(0)
  expect(await checkDirectory(path, new History(events))).toEqual([])
})

test('a broker on a full disk answers KAFKA_STORAGE_ERROR, serves consumers, and takes records once there is room', async () => {
  await using disk = await SmallFileSystem.make(DISK_BYTES)
  const rounds = 5
  const free = await loadBallast(disk, rounds)
  const broker = await startBroker({ directory: join(disk.path, 'broker') })
  try {
    const { bootstrap } = broker
    await using admin = new Admin({ bootstrap })
    await admin.createTopics([{ topic: 'full' }])
    let stored = 0
    for (let round = 0; round < rounds; round++) {
      await using producer = new Producer({ bootstrap, retries: 0, idempotent: false })
      let refusal: unknown
      while (refusal === undefined) {
        const sent = producer.send({ topic: 'full', value: 'x'.repeat(300_000) })
        await sent.then(
          () => stored++,
          (error: unknown) => {
            refusal = error
          },
        )
      }
      expect(refusal).toMatchObject({ kafkaCode: 56 })
      expect((await readTopic(bootstrap, 'full')).length).toBe(stored)
      await free(round)
    }
  } finally {
    await broker.close()
  }
})
