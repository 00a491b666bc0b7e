import { expect, it } from 'vitest'
import { batchSize, writeInt64 } from '../../src/record/index.ts'
import { descriptors } from '../env/sockets.ts'
import { onEachDisk, readdir, readFile, truncate, unlink, writeFile } from './disks.ts'
import { batch, defaults, openLog, readAll, temporaryDirectory } from './support.ts'

const SEGMENT = '00000000000000000000.log'

/** Five batches of three records, closed as a crash would; where each batch ends. */
async function crashedLog(): Promise<{ directory: string; path: string; content: Uint8Array; ends: number[] }> {
  const directory = await temporaryDirectory()
  const log = await openLog(directory)
  const ends = [0]
  for (let index = 0; index < 5; index++) {
    await log.appendBatch(batch({ count: 3, value: `batch ${index}` }), 0)
    ends.push(log.size)
  }
  await log.close({ clean: false })
  const path = `${directory}/${SEGMENT}`
  return { directory, path, content: await readFile(path), ends }
}

onEachDisk('after a crash', () => {
  it('the log is cut to its whole batches wherever the tail was torn', async () => {
    const { directory, path, content, ends } = await crashedLog()
    for (let length = ends[2]!; length <= content.length; length++) {
      await writeFile(path, content.subarray(0, length))
      const log = await openLog(directory)
      const whole = ends.filter((end) => end > 0 && end <= length).length
      expect(log.logEndOffset).toBe(whole * 3)
      expect(log.size).toBe(ends[whole])
      expect(log.recovery.bytesDropped).toBe(length - ends[whole]!)
      expect(log.recovery.reason === undefined).toBe(length === ends[whole])
      await log.close({ clean: false })
      expect((await readFile(path)).length).toBe(ends[whole])
    }
  })

  it('the log is cut before a batch with any wrong byte, and goes on from there', async () => {
    const { directory, path, content, ends } = await crashedLog()
    for (let at = ends[3]!; at < content.length; at++) {
      // The leader epoch is not covered by the CRC, as in Kafka.
      const inBatch = at - (at < ends[4]! ? ends[3]! : ends[4]!)
      if (inBatch >= 12 && inBatch < 16) continue
      const damaged = Uint8Array.from(content)
      damaged[at] = damaged[at]! ^ 0x55
      await writeFile(path, damaged)
      const log = await openLog(directory)
      const kept = at < ends[4]! ? 3 : 4
      expect([at, log.logEndOffset]).toEqual([at, kept * 3])
      if (at % 16 === 0) {
        await log.appendBatch(batch({ value: 'new' }), 0)
        expect((await readAll(log)).at(-1)).toEqual({ offset: kept * 3, value: 'new' })
      }
      await log.close({ clean: false })
    }
  })

  it('a tail of zeros is cut off', async () => {
    const { directory, path, content } = await crashedLog()
    await writeFile(path, Buffer.concat([content, new Uint8Array(5000)]))
    const log = await openLog(directory)
    expect([log.logEndOffset, log.recovery.bytesDropped]).toEqual([15, 5000])
    await log.close()
  })

  it('a compacted log whose unsynced segment lost its end is cut there, unless compaction has been there', async () => {
    const settings = { ...defaults, cleanupPolicy: ['compact' as const], segmentBytes: 400 }
    const endWith = async (firstDirtyOffset: number | undefined): Promise<unknown> => {
      const directory = await temporaryDirectory()
      const log = await openLog(directory, { settings })
      for (let index = 0; index < 20; index++) await log.appendBatch(batch({ key: `${index}`, value: 'value' }), 0)
      await log.close({ clean: false })
      const sealed = (await readdir(directory)).filter((name) => name.endsWith('.log')).sort()[1]!
      const first = Number.parseInt(sealed, 10)
      const content = await readFile(`${directory}/${sealed}`)
      await writeFile(`${directory}/${sealed}`, content.subarray(0, batchSize(content, 0)))
      const again = await openLog(directory, { settings, compaction: { firstDirtyOffset } })
      const { logEndOffset, recovery } = again
      await again.close({ clean: false })
      return logEndOffset === first + 1 && recovery.reason?.includes('ends at offset') ? 'cut' : logEndOffset
    }
    expect(await endWith(0)).toBe('cut')
    expect(await endWith(6)).toBe('cut')
    expect(await endWith(20)).toBe(20)
    expect(await endWith(undefined)).toBe(20)
  })

  it('segments behind a bad batch are dropped, with the snapshots of what is gone', async () => {
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 400 }
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 20; index++) await log.appendBatch(batch({ value: `value ${index}` }), 0)
    expect(log.segmentCount).toBeGreaterThan(3)
    await log.close({ clean: false })
    await writeFile(`${directory}/00000000000000000100.snapshot`, 'gone')
    const path = `${directory}/00000000000000000005.log`
    const content = await readFile(path)
    content[content.length - 1]! ^= 1
    await writeFile(path, content)
    const again = await openLog(directory, { settings })
    expect(again.logEndOffset).toBeLessThan(10)
    const values = (await readAll(again)).map((record) => record.value)
    expect(values).toEqual(Array.from({ length: again.logEndOffset }, (_, index) => `value ${index}`))
    expect(again.recovery.bytesDropped).toBeGreaterThan(500)
    await again.appendBatch(batch({ value: 'on' }), 0)
    await again.close()
    const snapshots = (await readdir(directory)).filter((name) => name.endsWith('.snapshot'))
    expect(snapshots.map((name) => Number(name.slice(0, 20)))).toEqual([5, again.logEndOffset])
  })

  it('the first sync of many segments leaves none of them open', async () => {
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 200 }
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 60; index++) await log.appendBatch(batch({ value: 'x'.repeat(100) }), 0)
    await log.close({ clean: false })
    const before = descriptors()
    const again = await openLog(directory, { settings })
    await again.flush()
    expect([again.segmentCount, again.recoveryPoint]).toEqual([60, 60])
    expect(descriptors() - before).toBeLessThanOrEqual(1)
    await again.close()
  })

  it('an empty last segment goes on where the one before it ended', async () => {
    const { directory } = await crashedLog()
    await writeFile(`${directory}/00000000000000000015.log`, '')
    for (const options of [{}, { recoveryPoint: 15 }, { cleanShutdown: true }]) {
      const log = await openLog(directory, options)
      expect([log.logEndOffset, log.segmentCount, log.recovery.reason]).toEqual([15, 2, undefined])
      expect((await readAll(log)).length).toBe(15)
      await log.close()
    }
  })

  it('index files that reach beyond the log lead nowhere', async () => {
    const { directory, path, content, ends } = await crashedLog()
    const longer = await openLog(directory, { settings: { ...defaults, indexIntervalBytes: 1 } })
    for (let index = 0; index < 20; index++)
      await longer.appendBatch(batch({ timestampMs: 1_800_000_000_000 + index }), 0)
    await longer.close()
    await writeFile(path, content.subarray(0, ends[4]!))
    for (const cleanShutdown of [false, true]) {
      const log = await openLog(directory, { cleanShutdown })
      expect((await readAll(log)).length).toBe(12)
      expect(await log.offsetForTime(1_800_000_000_000)).toBeUndefined()
      expect(await log.offsetForTime(1_700_000_000_000)).toMatchObject({ offset: 0 })
      await log.close({ clean: false })
    }
  })

  it('a leader epoch that begins beyond the end is forgotten, one that begins there is kept', async () => {
    const { directory, path, content, ends } = await crashedLog()
    await writeFile(`${directory}/leader-epoch-checkpoint`, '0\n2\n0 0\n7 12\n')
    await writeFile(path, content.subarray(0, ends[4]!))
    const kept = await openLog(directory)
    expect(kept.leaderEpoch).toBe(7)
    await kept.close({ clean: false })
    await writeFile(path, content.subarray(0, ends[3]!))
    const log = await openLog(directory)
    expect([log.logEndOffset, log.leaderEpoch, log.recovery.reason]).toEqual([9, 0, undefined])
    await log.close()
    expect(await readFile(`${directory}/leader-epoch-checkpoint`, 'utf8')).toBe('0\n1\n0 0\n')
  })

  it('a segment whose end was never written ends the log there', async () => {
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 400 }
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 20; index++) await log.appendBatch(batch({ value: `value ${index}` }), 0)
    await log.close({ clean: false })
    const path = `${directory}/00000000000000000005.log`
    const { length } = await readFile(path)
    await truncate(path, length - batch({ value: 'value 9' }).length)
    const again = await openLog(directory, { settings })
    expect(again.logEndOffset).toBe(9)
    expect(again.recovery.reason).toMatch(/ends at offset 9/)
    expect((await readAll(again)).length).toBe(9)
    await again.close()
  })

  it('producer state is rebuilt from the batches that stay', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory)
    const idempotent = (baseSequence: number) => batch({ producerId: 9, producerEpoch: 0, baseSequence })
    for (let sequence = 0; sequence < 4; sequence++) await log.appendBatch(idempotent(sequence), 0)
    const end = log.size
    await log.close({ clean: false })
    await truncate(`${directory}/${SEGMENT}`, end - 1)
    const again = await openLog(directory)
    expect(await again.appendBatch(idempotent(2), 0)).toMatchObject({ baseOffset: 2, duplicate: true })
    await expect(again.appendBatch(idempotent(4), 0)).rejects.toMatchObject({ code: 'PAGELOG_REFUSED', kafkaCode: 45 })
    expect(await again.appendBatch(idempotent(3), 0)).toMatchObject({ baseOffset: 3, duplicate: false })
    await again.close()
  })
})

onEachDisk('damage below the recovery point', () => {
  it('is reported and nothing is cut', async () => {
    const { directory, path, content, ends } = await crashedLog()
    const damaged = Uint8Array.from(content)
    damaged[ends[1]! + 8]! ^= 1 // its size
    await writeFile(path, damaged)
    const opened = openLog(directory, { recoveryPoint: 12 })
    await expect(opened).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', path, position: ends[1], offset: 3 })
    expect(Buffer.compare(await readFile(path), damaged)).toBe(0)
    const cut = await openLog(directory, { recoveryPoint: 3 })
    expect(cut.logEndOffset).toBe(3)
    await cut.close()
  })

  it('is also a file that lost its end', async () => {
    const { directory, path, content, ends } = await crashedLog()
    await writeFile(path, content.subarray(0, ends[2]!))
    await expect(openLog(directory, { recoveryPoint: 9 })).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
  })

  it('is that also after a clean shutdown', async () => {
    const { directory, path, content, ends } = await crashedLog()
    await writeFile(path, content.subarray(0, ends[2]!))
    const opened = openLog(directory, { recoveryPoint: 15, cleanShutdown: true })
    await expect(opened).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', path })
    expect((await readFile(path)).length).toBe(ends[2])
  })

  it('is a log without any segment, which is not begun anew', async () => {
    for (const cleanShutdown of [false, true]) {
      const { directory, path } = await crashedLog()
      await unlink(path)
      const opened = openLog(directory, { recoveryPoint: 9, cleanShutdown })
      await expect(opened).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
      expect((await readdir(directory)).includes(SEGMENT)).toBe(false)
    }
  })

  it('is a segment that begins before the end of the one in front of it', async () => {
    const { directory } = await crashedLog()
    await writeFile(`${directory}/00000000000000000006.log`, '')
    await expect(openLog(directory, { cleanShutdown: true })).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
    await expect(openLog(directory, { recoveryPoint: 15 })).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
    const cut = await openLog(directory)
    expect([cut.logEndOffset, cut.segmentCount]).toEqual([15, 1])
    await cut.close()
  })

  it('is a batch at a wrong offset, which no CRC covers', async () => {
    const { directory, path, content, ends } = await crashedLog()
    writeInt64(content, ends[1]!, 1_000_000)
    await writeFile(path, content)
    const opened = openLog(directory, { cleanShutdown: true })
    await expect(opened).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', position: ends[1] })
  })
})

onEachDisk('side files', () => {
  it('are rebuilt when they are missing or damaged', async () => {
    const directory = await temporaryDirectory()
    const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 50 }
    const log = await openLog(directory, { settings })
    for (let index = 0; index < 100; index++) await log.appendBatch(batch({ value: `value ${index}` }), 0)
    await log.close()
    const name = `${directory}/00000000000000000000`
    const indexes = await Promise.all(['.index', '.timeindex'].map((suffix) => readFile(name + suffix)))
    const damages: ((path: string, content: Uint8Array) => Promise<void>)[] = [
      (path) => unlink(path),
      (path) => writeFile(path, ''),
      (path, content) => writeFile(path, content.subarray(0, content.length - 3)),
      (path, content) => writeFile(path, new Uint8Array(content.length)),
      (path, content) =>
        writeFile(
          path,
          content.map((byte, at) => (at === 7 ? byte ^ 4 : byte)),
        ),
    ]
    for (const damage of damages) {
      for (const [index, suffix] of ['.index', '.timeindex'].entries()) await damage(name + suffix, indexes[index]!)
      const again = await openLog(directory, { settings, cleanShutdown: true })
      for (let offset = 0; offset < 100; offset += 9) {
        expect((await readAll(again, offset)).length).toBe(100 - offset)
      }
      await again.close()
    }
  })

  it('leader-epoch-checkpoint has an epoch before its first batch', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory)
    await log.appendBatch(batch({ count: 2 }), 0)
    await log.appendBatch(batch(), 3)
    expect(await readFile(`${directory}/leader-epoch-checkpoint`, 'utf8')).toBe('0\n2\n0 0\n3 2\n')
    expect(log.leaderEpoch).toBe(3)
    await log.close({ clean: false })
    await unlink(`${directory}/leader-epoch-checkpoint`)
    const again = await openLog(directory)
    expect(await readFile(`${directory}/leader-epoch-checkpoint`, 'utf8')).toBe('0\n2\n0 0\n3 2\n')
    await again.close()
  })

  it('left over from deletions are removed', async () => {
    const directory = await temporaryDirectory()
    await (await openLog(directory)).close()
    await writeFile(`${directory}/00000000000000000000.log.deleted`, 'x')
    await writeFile(`${directory}/00000000000000000000.log.cleaned`, 'x')
    await writeFile(`${directory}/00000000000000000007.snapshot.tmp`, 'x')
    await (await openLog(directory)).close()
    expect((await readdir(directory)).filter((name) => name.endsWith('.tmp'))).toEqual([])
    await expect(readFile(`${directory}/00000000000000000000.log.deleted`)).rejects.toThrow('ENOENT')
    await expect(readFile(`${directory}/00000000000000000000.log.cleaned`)).rejects.toThrow('ENOENT')
  })
})
