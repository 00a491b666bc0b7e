import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it } from 'vitest'
import { LogDirectory } from '../../src/log/index.ts'
import { batch, defaults, diskFull, env, FailingDisk, openLog, storageError, temporaryDirectory } from './support.ts'

const small = { ...defaults, segmentBytes: 300, fileDeleteDelayMs: 0, retentionMs: -1 }
const undo: (() => void)[] = []
afterEach(() => {
  for (const step of undo.splice(0)) step()
})

/** What is published on a channel from now on. */
function listen(name: string): unknown[] {
  const events: unknown[] = []
  const listener = (event: unknown): void => void events.push(event)
  subscribe(name, listener)
  undo.push(() => unsubscribe(name, listener))
  return events
}

describe('diagnostics channels', () => {
  it('tell of rolls, recovery, trimming, truncation and retention', async () => {
    const directory = await temporaryDirectory()
    const [rolls, recoveries, trims, truncations, retentions] = [
      'pagelog:log.roll',
      'pagelog:log.recovery',
      'pagelog:log.trim',
      'pagelog:log.truncate',
      'pagelog:log.retention',
    ].map(listen)
    const log = await openLog(directory, { settings: { ...small, retentionBytes: 200 } })
    for (let count = 0; count < 4; count++) await log.appendBatch(batch({ value: 'v'.repeat(100) }), 0)
    const bytes = log.size / 4
    expect(rolls).toEqual([1, 2, 3].map((baseOffset) => ({ directory, baseOffset, sealedBytes: bytes })))
    await log.trimBefore(1)
    expect(trims).toEqual([{ directory, logStartOffset: 1, segments: 1, bytes }])
    await log.truncateTo(3)
    expect(truncations).toEqual([{ directory, logEndOffset: 3, formerEndOffset: 4, bytes }])
    await log.appendBatch(batch({ value: 'v'.repeat(100) }), 0)
    await log.applyRetention()
    expect(retentions).toEqual([{ directory, logStartOffset: 2, segments: 1, bytes }])
    await log.close({ clean: false })
    const again = await openLog(directory, { settings: small })
    const found = { directory, cleanShutdown: false, bytesDropped: 0, reason: undefined }
    expect(recoveries!.at(-1)).toMatchObject({ ...found, logStartOffset: 2, logEndOffset: 4, batchesScanned: 2 })
    await again.close()
  })

  it('tell of a full disk and of going offline', async () => {
    const failing = new FailingDisk()
    const directory = await LogDirectory.open({ env: failing.env, path: await temporaryDirectory(), defaults: small })
    const log = await directory.create('events', 0)
    const full = listen('pagelog:log.disk-full')
    const offline = listen('pagelog:log.offline')
    failing.fails = (operation, path) => (operation === 'write' ? diskFull(path) : undefined)
    await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    const error = expect.objectContaining({ code: 'PAGELOG_DISK_FULL' })
    expect(full).toEqual([{ directory: log.directory, error }])
    failing.fails = (operation, path) => (operation === 'dataSync' ? storageError(path) : undefined)
    await log.appendBatch(batch(), 0)
    await expect(log.flush()).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect(offline).toEqual([{ directory: log.directory, error: expect.objectContaining({ code: 'PAGELOG_STORAGE' }) }])
    failing.fails = () => undefined
    await directory.close()
  })
})

describe('stats', () => {
  it('count what a log has and has done', async () => {
    const log = await openLog(await temporaryDirectory(), { settings: small })
    const appends = Array.from({ length: 5 }, (_, baseSequence) =>
      log.appendBatch(batch({ value: 'v'.repeat(100), producerId: 1, producerEpoch: 0, baseSequence }), 0),
    )
    await Promise.all(appends)
    await log.flush()
    const stats = log.stats()
    expect(stats).toMatchObject({
      logStartOffset: 0,
      logEndOffset: 5,
      recoveryPoint: 5,
      size: log.size,
      segments: 5,
      producers: 1,
      openTransactions: 0,
      filesToDelete: 0,
      appends: 5,
      appendedBytes: log.size,
    })
    expect(stats.writes).toBe(5)
    expect(stats.syncs).toBeGreaterThanOrEqual(5)
    expect(stats.openSegments).toBeGreaterThan(0)
    await log.close()
  })

  it('of a directory are the sum of its logs', async () => {
    const directory = await LogDirectory.open({ env, path: await temporaryDirectory(), defaults })
    for (const topic of ['a', 'b']) {
      const log = await directory.create(topic, 0)
      await log.appendBatch(batch({ count: 3 }), 0)
    }
    const size = directory.get('a', 0)!.size * 2
    expect(directory.stats()).toMatchObject({
      logs: 2,
      damaged: 0,
      size,
      segments: 2,
      openSegments: 2,
      producers: 0,
      appends: 2,
      appendedBytes: size,
      writes: 2,
    })
    await directory.close()
    expect(directory.stats()).toMatchObject({ openSegments: 0, indexBytes: 0 })
  })
})
