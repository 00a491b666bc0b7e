/** What a crash of the machine may leave of the bytes above the recovery point (goal D6 of reliability): any of it. */
import { expect, it } from 'vitest'
import { Log } from '../../src/log/index.ts'
import { onEachDisk, readFile, writeFile } from './disks.ts'
import { batch, defaults, env, openLog, readAll, temporaryDirectory } from './support.ts'

const SECTOR = 512
const settings = { ...defaults, segmentBytes: 6000 }

interface Written {
  readonly directory: string
  /** Of the last segment. */
  readonly path: string
  readonly content: Uint8Array
  /** Where each of its batches begins and which offset it has; the end last. */
  readonly borders: readonly { position: number; offset: number }[]
}

/** Two segments, the last with six batches of about 700 bytes, left as by a crash. */
async function written(): Promise<Written> {
  const directory = await temporaryDirectory()
  const log = await openLog(directory, { settings })
  while (log.segmentCount < 2) await log.appendBatch(batch({ count: 3, value: 'x'.repeat(200) }), 0)
  const first = log.logEndOffset - 3
  for (let index = 0; index < 5; index++) await log.appendBatch(batch({ count: 3, value: 'y'.repeat(200) }), 0)
  await log.close({ clean: false })
  const path = `${directory}/${String(first).padStart(20, '0')}.log`
  const content = await readFile(path)
  const size = content.length / 6
  const borders = Array.from({ length: 7 }, (_, index) => ({ position: index * size, offset: first + index * 3 }))
  return { directory, path, content, borders }
}

/** Opens it with `content` in the place of its last segment: it is cut to the last border at or before `damageAt`. */
async function expectCut(log: Written, content: Uint8Array, damageAt: number): Promise<void> {
  await writeFile(log.path, content)
  const kept = log.borders.findLast(({ position }) => position <= damageAt)!
  const opened = await openLog(log.directory, { settings })
  try {
    expect([damageAt, opened.logEndOffset]).toEqual([damageAt, kept.offset])
    expect(opened.recovery.bytesDropped).toBe(content.length - kept.position)
  } finally {
    await opened.close({ clean: false })
  }
  expect((await readFile(log.path)).length).toBe(kept.position)
}

onEachDisk('the last segment', () => {
  it('cut at any byte of its last three batches ends before the batch that was cut', async () => {
    const log = await written()
    // Every byte of the headers and the last bytes; of the records a sample.
    for (let length = log.borders[3]!.position; length <= log.content.length; length++) {
      const inBatch = (length - log.borders[3]!.position) % log.borders[1]!.position
      const isSampled = inBatch < 62 || inBatch > log.borders[1]!.position - 3 || length % 97 === 0
      if (isSampled) await expectCut(log, log.content.subarray(0, length), length)
    }
  })

  it('with any sector that was never written, or is garbage, ends before the first batch that it touches', async () => {
    const log = await written()
    for (let sector = 0; sector * SECTOR < log.content.length; sector++) {
      const from = sector * SECTOR
      const to = Math.min(log.content.length, from + SECTOR)
      await expectCut(log, Uint8Array.from(log.content).fill(0, from, to), from)
      const garbled = Uint8Array.from(log.content)
      for (let at = from; at < to; at++) garbled[at] = (at * 7919 + 13) & 0xff
      await expectCut(log, garbled, from)
    }
  })

  it('goes on from there, and what was given up never comes back', async () => {
    const log = await written()
    for (const border of log.borders.slice(1, 6)) {
      const damaged = Uint8Array.from(log.content)
      damaged[border.position + 100]! ^= 0x10
      await writeFile(log.path, damaged)
      const opened = await openLog(log.directory, { settings })
      await opened.appendBatch(batch({ value: 'new' }), 0)
      await opened.close({ clean: false })
      const again = await openLog(log.directory, { settings })
      expect([again.logEndOffset, again.recovery.reason]).toEqual([border.offset + 1, undefined])
      expect((await readAll(again, 0, 100_000)).at(-1)).toEqual({ offset: border.offset, value: 'new' })
      await again.close({ clean: false })
    }
  })
})

it('a log is cut at every byte of its last three batches', async () => {
  // All of them, in memory; the rest of the promise is above.
  const { memoryDisk } = await import('../../src/env/memory/index.ts')
  const disk = memoryDisk()
  const directory = '/log'
  await disk.makeDirectory(directory)
  const options = { env: { ...env, disk }, directory, settings: defaults, recoveryPoint: 0, cleanShutdown: false }
  const log = await Log.open(options)
  const ends = [0]
  for (let index = 0; index < 5; index++) {
    await log.appendBatch(batch({ count: 4, value: 'z'.repeat(100) }), 0)
    ends.push(log.size)
  }
  await log.close({ clean: false })
  const path = `${directory}/00000000000000000000.log`
  const content = (await disk.readFile(path))!
  for (let length = content.length; length >= ends[2]!; length--) {
    const file = await disk.open(path, 'write')
    await file.write([content], 0)
    await file.truncate(length)
    await file.close()
    const opened = await Log.open(options)
    const whole = ends.findLastIndex((end) => end <= length)
    expect([length, opened.logEndOffset, opened.size]).toEqual([length, whole * 4, ends[whole]])
    await opened.close({ clean: false })
  }
})
