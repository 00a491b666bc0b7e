/** Reads that wait for the device while the end of the log is cut: they see the log before the cut or after it, never damage. */
import { describe, expect, it } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import type { Disk } from '../../src/env/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import type { Log } from '../../src/log/index.ts'
import { machineOn } from './compaction-support.ts'
import { batch, defaults, FailingDisk, openLog } from './support.ts'

/** Nothing is in the page cache. What the device is asked for while it is held waits until it is released. */
class HeldDisk {
  readonly disk: Disk
  waiting = 0
  #isHeld = false
  #gate: Promise<void> = Promise.resolve()
  #open = (): void => {}

  constructor() {
    const { disk } = new FailingDisk(memoryDisk())
    const open: Disk['open'] = async (path, mode) => {
      const file = await disk.open(path, mode)
      const read = file.read.bind(file)
      file.tryRead = () => -1
      file.read = async (into, position) => {
        if (this.#isHeld) await this.#wait()
        return await read(into, position)
      }
      return file
    }
    this.disk = { ...disk, open }
  }

  async #wait(): Promise<void> {
    this.waiting++
    await this.#gate
    this.waiting--
  }

  hold(): void {
    this.#isHeld = true
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
  }
  /** What is asked for from now on is answered; what waits goes on waiting. */
  letOthersPass(): void {
    this.#isHeld = false
  }
  release(): void {
    this.#isHeld = false
    this.#open()
  }
}

const settings = { ...defaults, indexIntervalBytes: 300 }
const RECORDS = 60
const END = 10

async function filled(): Promise<{ log: Log; held: HeldDisk }> {
  const held = new HeldDisk()
  const env = { ...machineOn(held.disk), disk: held.disk }
  await held.disk.makeDirectory('/log')
  const log = await openLog('/log', { env, settings })
  for (let index = 0; index < RECORDS; index++) await log.appendBatch(batch({ value: `old ${index}`.padEnd(70) }), 0)
  await log.flush()
  return { log, held }
}

/** While `read` waits for the device the log is cut to `END`, and batches of another size are appended there. */
async function cutUnder<T>(log: Log, held: HeldDisk, read: () => Promise<T>, appends = 200): Promise<T> {
  held.hold()
  const reading = read()
  reading.catch(() => {})
  while (held.waiting === 0) await new Promise(setImmediate)
  held.letOthersPass()
  expect(await log.truncateTo(END)).toBe(END)
  for (let index = END; index < END + appends; index++) {
    await log.appendBatch(batch({ value: `new ${index}`.padEnd(33) }), 0)
  }
  held.release()
  return await reading
}

const textOf = (value: Uint8Array | null | undefined): string => new TextDecoder().decode(value ?? undefined).trim()

async function readFrom(log: Log, from: number): Promise<string[]> {
  const values: string[] = []
  for await (const one of log.read({ from, maxBytes: 2000 })) for (const { value } of one) values.push(textOf(value))
  return values
}

/** Old or new, each at its place. */
function isValueOf(value: string, offset: number): boolean {
  return value === `old ${offset}` || (offset >= END && value === `new ${offset}`)
}

describe('a cut of the end of the log under', () => {
  it.each([0, 5, 9, 10, 25, 40])('a reader that waits at offset %d shows it no damage', async (from) => {
    const { log, held } = await filled()
    const values = await cutUnder(log, held, () => readFrom(log, from))
    for (const [index, value] of values.entries()) expect(isValueOf(value, from + index), value).toBe(true)
    expect(values.length).toBeGreaterThan(0)
    await log.close()
  })

  it.each([5, 9, 25, 59])('readAt of offset %d gives the record that is there now', async (offset) => {
    const { log, held } = await filled()
    const record = await cutUnder(log, held, () => log.readAt(offset))
    expect(isValueOf(textOf(record?.value), offset)).toBe(true)
    await log.close()
  })

  it('reads of what is gone afterwards are told that it is out of range', async () => {
    for (const read of [(log: Log) => log.readAt(40), (log: Log) => readFrom(log, 40)]) {
      const { log, held } = await filled()
      const reading = cutUnder(log, held, () => read(log) as Promise<unknown>, 1)
      await expect(reading).rejects.toSatisfy((error) => hasCode(error, 'PAGELOG_OFFSET_OUT_OF_RANGE'))
      await log.close()
    }
  })

  it.each([5, 25, 40])('a slice at offset %d that waits begins with a batch that is there', async (offset) => {
    const { log, held } = await filled()
    const slice = await cutUnder(log, held, async () => await log.slice(offset, 500, { minOneBatch: true }))
    const [region] = slice.regions
    const bytes = new Uint8Array(region!.length)
    await region!.file.read(bytes, region!.position)
    for (const one of slice.regions) one.release()
    expect(new TextDecoder().decode(bytes)).toMatch(offset < END ? /old/ : /new/)
    expect(Number(new DataView(bytes.buffer).getBigInt64(0))).toBeLessThanOrEqual(offset)
    await log.close()
  })

  it('a look-up by time finds what is there', async () => {
    const { log, held } = await filled()
    const found = await cutUnder(log, held, () => log.offsetForTime(1_700_000_000_000))
    expect(found?.offset).toBe(0)
    await log.close()
  })

  it('verify finds no damage', async () => {
    const { log, held } = await filled()
    const report = await cutUnder(log, held, () => log.verify())
    expect(report.problems).toEqual([])
    expect((await log.verify()).problems).toEqual([])
    await log.close()
  })
})
