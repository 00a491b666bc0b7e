import { describe, expect, it } from 'vitest'
import type { Disk } from '../../src/env/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { type Log, LogDirectory } from '../../src/log/index.ts'
import { PartitionFiles } from '../../src/log/partition-files.ts'
import { setBaseOffset } from '../../src/record/index.ts'
import { onEachDisk, readdir, readFile, rename, unlink, writeFile } from './disks.ts'
import { batch, defaults, env, openLog, readAll, temporaryDirectory } from './support.ts'
import { marker, transactional } from './transaction-batches.ts'

const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 200 }

/** The real disk, its calls counted by name. */
function countingDisk(): { disk: Disk; calls: Map<string, number> } {
  const { disk } = nodeEnv()
  const calls = new Map<string, number>()
  const counted = new Proxy(disk, {
    get: (target, name: keyof Disk) => {
      const method = target[name] as ((...given: unknown[]) => unknown) | undefined
      if (typeof method !== 'function') return method
      return (...given: unknown[]) => {
        calls.set(name, (calls.get(name) ?? 0) + 1)
        return method.apply(target, given)
      }
    },
  })
  return { disk: counted, calls }
}

async function filledLog(directory: string, batches = 60): Promise<Log> {
  const log = await openLog(directory, { settings })
  for (let index = 0; index < batches; index++) {
    const timestampMs = 1_700_000_000_000 + index
    if (index % 3 === 0)
      await log.appendBatch(transactional({ producerId: 5, baseSequence: index / 3, timestampMs }), 0)
    else if (index % 3 === 1) await log.appendBatch(marker({ producerId: 5, commit: index % 2 === 0, timestampMs }), 0)
    else await log.appendBatch(batch({ value: `value ${index}`, timestampMs }), 0)
  }
  return log
}

describe('a clean open', () => {
  it('costs one look at the directory, and opens no file until somebody reads', async () => {
    const path = await temporaryDirectory()
    const { disk, calls } = countingDisk()
    const options = { env: { ...env, disk }, path, defaults: settings }
    const directory = await LogDirectory.open(options)
    for (let partition = 0; partition < 5; partition++) {
      const log = await directory.create('t', partition)
      for (let index = 0; index < 40; index++) await log.appendBatch(batch({ value: 'x'.repeat(100) }), 0)
    }
    await directory.close()
    calls.clear()
    const again = await LogDirectory.open(options)
    const counted = (name: string): number => calls.get(name) ?? 0
    if (env.disk.scan === undefined) expect(counted('list')).toBeGreaterThanOrEqual(5)
    else {
      expect([counted('scan'), counted('open')]).toEqual([5, 0])
      // The rest is the directory's own: checkpoints, marker, lock.
      expect(counted('readFile') + counted('status') + counted('list')).toBeLessThan(10)
    }
    expect(again.get('t', 3)?.logEndOffset).toBe(40)
    expect(again.stats().openSegments).toBe(0)
    expect((await readAll(again.get('t', 3)!, 0, 1000)).length).toBe(40)
    await again.close()
  })

  it('sees the same files with and without the scan of the platform', async () => {
    const directory = await temporaryDirectory()
    await (await filledLog(directory)).close()
    const { disk } = nodeEnv()
    expect(disk.scan === undefined).toBe(process.env.PAGELOG_NATIVE === '0')
    const scanned = await PartitionFiles.scan(disk, directory)
    const plain = await PartitionFiles.scan({ ...plainDisk(disk) }, directory)
    expect(plain.names).toEqual(scanned.names)
    for (const name of scanned.names) {
      expect([name, plain.sizeOf(name)]).toEqual([name, scanned.sizeOf(name)])
      expect(Buffer.from(plain.tailOf(name)).equals(Buffer.from(scanned.tailOf(name)))).toBe(true)
    }
    await expect(PartitionFiles.scan(disk, `${directory}/none`)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
  })
})

/** Without what only some platforms have. */
function plainDisk(disk: Disk): Disk {
  return new Proxy(disk, {
    get: (target, name: keyof Disk) => {
      const member = target[name]
      return name === 'scan' ? undefined : typeof member === 'function' ? member.bind(target) : member
    },
    ownKeys: () => ['list', 'status', 'open', 'readFile'],
    getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true }),
  })
}

onEachDisk('an unclean open', () => {
  it('checks what lies above the recovery point, and no more', async () => {
    const directory = await temporaryDirectory()
    const log = await filledLog(directory)
    await log.close({ clean: false })
    const all = await Promise.all(
      (await readdir(directory)).map(async (name) => [name, await readFile(`${directory}/${name}`)] as const),
    )
    for (const recoveryPoint of [0, 1, 17, 40, 59, 60]) {
      for (const [name, content] of all) await writeFile(`${directory}/${name}`, content)
      const opened = await openLog(directory, { settings, recoveryPoint })
      expect([recoveryPoint, opened.recovery]).toEqual([
        recoveryPoint,
        { batchesScanned: 60 - recoveryPoint, bytesDropped: 0 },
      ])
      expect((await opened.verify()).problems).toEqual([])
      expect(await opened.appendBatch(transactional({ producerId: 5, baseSequence: 19 }), 0)).toMatchObject({
        baseOffset: 57,
        duplicate: true,
      })
      expect(opened.lastStableOffset).toBe(60)
      await opened.close({ clean: false })
    }
  })

  it('does not open segments below the recovery point', async () => {
    const directory = await temporaryDirectory()
    await (await filledLog(directory)).close({ clean: false })
    const first = `${directory}/00000000000000000000.log`
    const content = Uint8Array.from(await readFile(first))
    await writeFile(
      first,
      content.map((byte, at) => (at === 100 ? byte ^ 1 : byte)),
    )
    const log = await openLog(directory, { settings, recoveryPoint: 50 })
    expect(log.recovery).toEqual({ batchesScanned: 10, bytesDropped: 0 })
    expect((await log.verify()).problems).toMatchObject([{ kind: 'batch-crc', path: first }])
    await log.close()
  })

  it('cuts at a batch whose base offset was damaged, in a sealed segment too', async () => {
    const directory = await temporaryDirectory()
    await (await filledLog(directory)).close({ clean: false })
    const name = (await readdir(directory)).filter((one) => one.endsWith('.log'))[1]!
    const base = Number(name.slice(0, 20))
    for (const offset of [base - 1, base + 1, base + 7, base + 2 ** 20]) {
      const damaged = await temporaryDirectory()
      for (const one of await readdir(directory))
        await writeFile(`${damaged}/${one}`, await readFile(`${directory}/${one}`))
      const content = Uint8Array.from(await readFile(`${damaged}/${name}`))
      setBaseOffset(content, 0, offset)
      await writeFile(`${damaged}/${name}`, content)
      const log = await openLog(damaged, { settings })
      expect([offset, log.logEndOffset]).toEqual([offset, base])
      await log.close()
    }
  })

  it('believes the gaps of a compacted log', async () => {
    const directory = await temporaryDirectory()
    const sparse = { ...settings, segmentBytes: 1_000_000, cleanupPolicy: ['compact'] }
    const log = await openLog(directory, { settings: sparse })
    for (let index = 0; index < 10; index++) await log.appendBatch(batch({ value: `value ${index}` }), 0)
    await log.close({ clean: false })
    const path = `${directory}/00000000000000000000.log`
    const content = Uint8Array.from(await readFile(path))
    const size = content.length / 10
    // Batches 3, 4 and 8 were superseded.
    const kept = [0, 1, 2, 5, 6, 7, 9]
    await writeFile(path, Buffer.concat(kept.map((index) => content.subarray(index * size, (index + 1) * size))))
    for (const cleanShutdown of [false, true]) {
      const opened = await openLog(directory, { settings: sparse, cleanShutdown })
      expect([opened.logEndOffset, opened.recovery.reason]).toEqual([10, undefined])
      expect((await opened.verify()).problems).toEqual([])
      await opened.close({ clean: cleanShutdown })
    }
    // Where nothing is compacted, the active segment has none.
    const cut = await openLog(directory, { settings: { ...sparse, cleanupPolicy: ['delete'] } })
    expect(cut.logEndOffset).toBe(3)
    await cut.close()
    // A sealed segment may have been compacted before the policy changed.
    await writeFile(path, Buffer.concat(kept.map((index) => content.subarray(index * size, (index + 1) * size))))
    await writeFile(`${directory}/00000000000000000010.log`, '')
    const sealed = await openLog(directory, { settings: { ...sparse, cleanupPolicy: ['delete'] } })
    expect(sealed.logEndOffset).toBe(10)
    await sealed.close()
  })
})

onEachDisk('an interrupted compaction', () => {
  const SIDES = ['.index', '.timeindex', '.txnindex']
  const stem = (directory: string, base: number): string => `${directory}/${String(base).padStart(20, '0')}`

  /** Segments 0 to 9, 10 to 19, 20 …; beside them the compacted form of the first two, in `.cleaned`. */
  async function compacted(): Promise<string> {
    const directory = await temporaryDirectory()
    const small = await openLog(directory, { settings: { ...defaults, segmentBytes: 750 } })
    for (let index = 0; index < 25; index++) await small.appendBatch(batch({ value: `value-${index % 10}` }), 0)
    await small.close()
    expect(
      (await readdir(directory)).filter((name) => name.endsWith('.log')).map((name) => Number(name.slice(0, 20))),
    ).toEqual([0, 10, 20])
    const parts = [await readFile(`${stem(directory, 0)}.log`), await readFile(`${stem(directory, 10)}.log`)]
    await writeFile(`${stem(directory, 0)}.log.cleaned`, Buffer.concat([parts[0]!.subarray(0, 75), parts[1]!]))
    await writeFile(`${stem(directory, 0)}.index.cleaned`, '')
    await writeFile(`${stem(directory, 0)}.timeindex.cleaned`, await readFile(`${stem(directory, 0)}.timeindex`))
    await writeFile(`${stem(directory, 0)}.txnindex.cleaned`, '')
    return directory
  }

  const offsetsOf = async (directory: string): Promise<number[]> => {
    const log = await openLog(directory, { settings: { ...defaults, cleanupPolicy: ['compact'] }, cleanShutdown: true })
    const offsets: number[] = []
    for await (const one of log.read()) offsets.push(one.baseOffset)
    expect(log.logEndOffset).toBe(25)
    expect((await log.verify()).problems).toEqual([])
    await log.close()
    expect((await readdir(directory)).filter((name) => /\.(swap|cleaned|deleted)$/.test(name))).toEqual([])
    return offsets
  }
  const ALL = Array.from({ length: 25 }, (_, index) => index)
  const COMPACTED = [0, ...ALL.slice(10)]

  it('that was not complete is undone', async () => {
    const directory = await compacted()
    for (const side of SIDES) await rename(`${stem(directory, 0)}${side}.cleaned`, `${stem(directory, 0)}${side}.swap`)
    expect(await offsetsOf(directory)).toEqual(ALL)
  })

  it('that was complete is finished, whatever was done of it', async () => {
    for (let step = 0; step < 7; step++) {
      const directory = await compacted()
      for (const side of [...SIDES, '.log'])
        await rename(`${stem(directory, 0)}${side}.cleaned`, `${stem(directory, 0)}${side}.swap`)
      if (step > 0) for (const side of [...SIDES, '.log']) await unlink(`${stem(directory, 10)}${side}`)
      if (step > 1) for (const side of SIDES) await unlink(`${stem(directory, 0)}${side}`)
      if (step > 2) await rename(`${stem(directory, 0)}.log`, `${stem(directory, 0)}.log.deleted`)
      for (const side of SIDES.slice(0, Math.max(0, step - 3))) {
        await rename(`${stem(directory, 0)}${side}.swap`, `${stem(directory, 0)}${side}`)
      }
      expect([step, await offsetsOf(directory)]).toEqual([step, COMPACTED])
    }
  })

  it("of Kafka's, which gives the log its name first, loses no more than indexes", async () => {
    const directory = await compacted()
    for (const side of [...SIDES, '.log']) await unlink(`${stem(directory, 10)}${side}`)
    await rename(`${stem(directory, 0)}.log.cleaned`, `${stem(directory, 0)}.log`)
    for (const side of SIDES) await rename(`${stem(directory, 0)}${side}.cleaned`, `${stem(directory, 0)}${side}.swap`)
    expect(await offsetsOf(directory)).toEqual(COMPACTED)
  })

  it('that split a segment and has not finished all parts is undone', async () => {
    const directory = await compacted()
    const content = await readFile(`${stem(directory, 10)}.log`)
    for (const side of [...SIDES, '.log']) await unlink(`${stem(directory, 0)}${side}.cleaned`)
    await writeFile(`${stem(directory, 10)}.log.cleaned`, content.subarray(0, 75 * 5))
    await writeFile(`${stem(directory, 15)}.log.swap`, content.subarray(75 * 5))
    expect(await offsetsOf(directory)).toEqual(ALL)
  })

  it('whose file is damaged keeps the log from being opened, and everything as it is', async () => {
    const directory = await compacted()
    await rename(`${stem(directory, 0)}.log.cleaned`, `${stem(directory, 0)}.log.swap`)
    await writeFile(`${stem(directory, 0)}.log.swap`, 'damaged')
    await expect(openLog(directory)).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
    expect((await readFile(`${stem(directory, 10)}.log`)).length).toBe(750)
  })
})
