/** The front door for programs that embed logs. */
import { describe, expect, it } from 'vitest'
import { type LogSettings, openLogDirectory } from '../../src/log/index.ts'
import { temporaryDirectory } from './support.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })

describe('openLogDirectory', () => {
  it('makes the directory and its logs when they are missing, and finds them again', async () => {
    const path = `${await temporaryDirectory()}/a/b`
    {
      await using directory = await openLogDirectory(path)
      const log = await directory.open('events')
      expect(await directory.open('events')).toBe(log)
      expect(await directory.open('events', { partition: 1 })).not.toBe(log)
      await log.append({ value: new Uint8Array(3) })
    }
    const again = await openLogDirectory(path)
    expect(again.wasClean).toBe(true)
    expect((await again.open('events')).logEndOffset).toBe(1)
    await again.close()
    await again.close()
    await expect(again.open('events')).rejects.toEqual(code('PAGELOG_CLOSED'))
  })

  it('keeps everything for ever unless it is told otherwise', async () => {
    const directory = await openLogDirectory(await temporaryDirectory(), { settings: { segmentBytes: 2_000_000 } })
    const log = await directory.open('events')
    expect(log.settings).toMatchObject({ retentionMs: -1, segmentBytes: 2_000_000 })
    const short = await directory.open('short', { settings: { retentionMs: 1000 } })
    expect(short.settings).toMatchObject({ retentionMs: 1000, segmentBytes: 2_000_000 })
    await directory.close()
  })

  it('takes a list as its text, and what is undefined as left out', async () => {
    const unset = { retentionMs: undefined, segmentMs: undefined }
    const directory = await openLogDirectory(await temporaryDirectory(), {
      settings: { cleanupPolicy: 'compact, delete', segmentBytes: 2_000_000, ...unset },
    })
    const { settings } = await directory.open('events')
    expect(settings).toMatchObject({ cleanupPolicy: ['compact', 'delete'], retentionMs: -1, segmentMs: 604_800_000 })
    const log = await directory.open('state', {
      settings: { cleanupPolicy: 'compact', segmentBytes: undefined, ...unset },
    })
    expect(log.settings).toMatchObject({ cleanupPolicy: ['compact'], retentionMs: -1, segmentBytes: 2_000_000 })
    await directory.close()
  })

  it('gives settings to a log that is there already', async () => {
    const path = await temporaryDirectory()
    const directory = await openLogDirectory(path)
    await directory.open('events', { settings: { maxMessageBytes: 100 } })
    await directory.close()
    const again = await openLogDirectory(path)
    const log = again.get('events', 0)!
    await log.append({ value: new Uint8Array(200) })
    expect(await again.open('events', { settings: { maxMessageBytes: 100 } })).toBe(log)
    await expect(log.append({ value: new Uint8Array(200) })).rejects.toEqual(code('PAGELOG_TOO_LARGE'))
    await again.open('events')
    expect(log.settings.maxMessageBytes).toBe(100)
    await again.close()
  })

  it('refuses settings that are none', async () => {
    const path = await temporaryDirectory()
    const none = [
      { segmentBytes: 1 },
      { retentionMs: 'long' },
      { retentionMs: Number.NaN },
      { minCleanableDirtyRatio: Number.NaN },
      { segmentByte: 2_000_000 },
      { cleanupPolicy: 'compacted' },
      { cleanupPolicy: ['delete', 5] },
      { cleanupPolicy: {} },
      { cleanupPolicy: null },
    ]
    for (const settings of none) {
      const wrong = settings as unknown as Partial<LogSettings>
      await expect(openLogDirectory(path, { settings: wrong })).rejects.toEqual(code('PAGELOG_INVALID_SETTING'))
      const directory = await openLogDirectory(path)
      await expect(directory.open('a', { settings: wrong })).rejects.toEqual(code('PAGELOG_INVALID_SETTING'))
      await directory.close()
    }
    await expect(openLogDirectory('')).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
  })

  it("refuses names that break Kafka's rule for topics", async () => {
    const directory = await openLogDirectory(await temporaryDirectory())
    for (const name of ['', '.', '..', 'a/b', '../a', 'a b', 'ä', 'a\u0000', 'x'.repeat(250), 5 as unknown as string]) {
      await expect(directory.open(name), JSON.stringify(name)).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    }
    for (const partition of [-1, 0.5, Number.NaN, 2 ** 31]) {
      await expect(directory.open('a', { partition })).rejects.toEqual(code('PAGELOG_INVALID_ARGUMENT'))
    }
    const longest = 'x'.repeat(240)
    expect((await directory.open(longest)).logEndOffset).toBe(0)
    expect((await directory.open('a.b_c-D-1')).logEndOffset).toBe(0)
    await directory.close()
  })

  it('is held by one at a time', async () => {
    const path = await temporaryDirectory()
    const directory = await openLogDirectory(path)
    await expect(openLogDirectory(path)).rejects.toEqual(code('PAGELOG_LOCKED'))
    await directory.close()
    await (await openLogDirectory(path)).close()
  })
})
