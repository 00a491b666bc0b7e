/** What an open and a close of a log that nobody has written to costs: nothing is written, nothing is synced. */
import { describe, expect, it } from 'vitest'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { machineOn } from './compaction-support.ts'
import { batch, defaults, FailingDisk } from './support.ts'

const CHANGES = new Set(['write', 'dataSync', 'truncate', 'replaceFile', 'syncDirectory', 'rename', 'unlink'])

function changesIn(failing: FailingDisk, path: string): string[] {
  const changes = failing.calls.filter((call) => CHANGES.has(call.operation) && call.path.startsWith(path))
  return changes.map(({ operation, path: at }) => `${operation} ${at}`)
}

describe('a log that nobody has written to', () => {
  const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 100 }

  async function writtenAndClosed() {
    const failing = new FailingDisk(memoryDisk())
    const env = { ...machineOn(failing.disk), disk: failing.disk }
    const options = { env, path: '/data', defaults: settings }
    const directory = await LogDirectory.open(options)
    const log = await directory.create('events', 0)
    for (let count = 0; count < 40; count++) await log.appendBatch(batch({ value: 'v'.repeat(60) }), 0)
    expect(log.segmentCount).toBeGreaterThan(1)
    await directory.close()
    failing.calls.length = 0
    return { failing, options }
  }

  it('is closed without a write and without a sync', async () => {
    const { failing, options } = await writtenAndClosed()
    const directory = await LogDirectory.open(options)
    await directory.close()
    expect(changesIn(failing, '/data/events-0')).toEqual([])
  })

  it('may have been read meanwhile', async () => {
    const { failing, options } = await writtenAndClosed()
    const directory = await LogDirectory.open(options)
    const log = directory.get('events', 0)!
    for (const offset of [0, 20, 39]) expect((await log.readAt(offset))?.offset).toBe(offset)
    await directory.close()
    expect(changesIn(failing, '/data/events-0')).toEqual([])
  })

  it('is synced again after it was trimmed: what went must not come back beside a log that counts as closed', async () => {
    const { failing, options } = await writtenAndClosed()
    const directory = await LogDirectory.open(options)
    const log = directory.get('events', 0)!
    expect((await log.trimBefore(30)).segments).toBeGreaterThan(0)
    failing.calls.length = 0
    await directory.close()
    expect(changesIn(failing, '/data/events-0')).toContain('syncDirectory /data/events-0')
  })

  it('is synced after an append', async () => {
    const { failing, options } = await writtenAndClosed()
    const directory = await LogDirectory.open(options)
    await directory.get('events', 0)!.appendBatch(batch(), 0)
    await directory.close()
    const changes = changesIn(failing, '/data/events-0')
    expect(changes.filter((one) => one.startsWith('dataSync'))).toHaveLength(4) // batches and the three index files
    expect(changes).toContain('syncDirectory /data/events-0')
  })

  it('writes no index files when it is unloaded for others while it is empty', async () => {
    const failing = new FailingDisk(memoryDisk())
    const env = { ...machineOn(failing.disk), disk: failing.disk }
    const limits = { openSegmentsMax: 8 }
    const directory = await LogDirectory.open({ env, path: '/data', defaults: settings, settings: limits })
    const logs: Log[] = []
    for (let partition = 0; partition < 20; partition++) logs.push(await directory.create('events', partition))
    const written = failing.calls.filter(({ operation, path }) => operation === 'open' && path.endsWith('index'))
    expect(written).toEqual([])
    // One that was unloaded takes what is appended all the same.
    for (const log of logs) expect(await log.appendBatch(batch(), 0)).toMatchObject({ baseOffset: 0 })
    await directory.close()
  })
})
