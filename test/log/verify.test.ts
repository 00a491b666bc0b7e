import { expect, it } from 'vitest'
import { type Log, LogDirectory, repairLog, type VerifyReport, verifyLog } from '../../src/log/index.ts'
import { setBaseOffset, setLeaderEpoch, writeInt32 } from '../../src/record/index.ts'
import { onEachDisk, readdir, readFile, unlink, writeFile } from './disks.ts'
import { batch, defaults, env, openLog, readAll, temporaryDirectory } from './support.ts'
import { marker, transactional } from './transaction-batches.ts'

const settings = { ...defaults, segmentBytes: 2000, indexIntervalBytes: 200, fileDeleteDelayMs: 0 }

async function fill(log: Log, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const timestampMs = 1_700_000_000_000 + round
    await log.appendBatch(transactional({ producerId: 7, baseSequence: round * 2, count: 2, timestampMs }), 0)
    await log.appendBatch(marker({ producerId: 7, commit: round % 2 === 0, timestampMs }), 0)
    await log.appendBatch(batch({ value: 'plain', timestampMs }), 0)
  }
}

interface Filled {
  readonly directory: string
  /** Of the segments. */
  readonly paths: readonly string[]
  readonly verify: () => Promise<VerifyReport>
}

/** Forty rounds of four records, closed. */
async function filled(): Promise<Filled> {
  const directory = await temporaryDirectory()
  const log = await openLog(directory, { settings })
  await fill(log, 40)
  await log.close()
  const paths = (await readdir(directory)).filter((name) => name.endsWith('.log')).map((name) => `${directory}/${name}`)
  return { directory, paths, verify: () => verifyLog({ env, directory, settings }) }
}

async function change(path: string, edit: (content: Uint8Array) => Uint8Array | undefined): Promise<void> {
  const content = Uint8Array.from(await readFile(path))
  await writeFile(path, edit(content) ?? content)
}

/** Positions of the batches in a segment. */
function startsOf(content: Uint8Array): number[] {
  const view = new DataView(content.buffer, content.byteOffset)
  const starts: number[] = []
  for (let at = 0; at < content.length; at += 12 + view.getInt32(at + 8)) starts.push(at)
  return starts
}

const flip = (content: Uint8Array, at: number, mask: number): undefined => {
  content[at] = content[at]! ^ mask
}

const kindsOf = (report: VerifyReport): string[] => [...new Set(report.problems.map(({ kind }) => kind))]

onEachDisk('verify', () => {
  it('counts what it looks at and finds nothing in a good log, open or closed', async () => {
    const { directory, verify } = await filled()
    const progress: number[] = []
    const report = await verifyLog({ env, directory, settings }, { onProgress: ({ bytes }) => progress.push(bytes) })
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ batches: 120, records: 160, logEndOffset: 160, problemCount: 0 })
    expect([report.bytes, progress.at(-1)]).toEqual([report.bytesTotal, report.bytesTotal])
    const log = await openLog(directory, { settings, cleanShutdown: true })
    expect(await log.verify()).toMatchObject({ batches: 120, records: 160, problemCount: 0 })
    await fill(log, 1).catch(() => {}) // sequences of an earlier time: refused
    await log.appendBatch(batch(), 0)
    expect(await log.verify()).toMatchObject({ logEndOffset: 161, problemCount: 0 })
    await log.close()
    expect((await verify()).problems).toEqual([])
  })

  it('works while appends, rolls and trims go on', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    await fill(log, 30)
    let isOver = false
    const appending = (async () => {
      for (let index = 0; !isOver; index++) {
        await log.appendBatch(batch({ value: 'x'.repeat(100) }), 0)
        if (index % 20 === 19) await log.trimBefore(log.logStartOffset + 10)
      }
    })()
    for (let round = 0; round < 8; round++) expect((await log.verify()).problems).toEqual([])
    isOver = true
    await appending
    expect((await log.verify()).problems).toEqual([])
    await log.close()
  })

  it('claims nothing that a segment which is not there would tell', async () => {
    const directory = await temporaryDirectory()
    const log = await openLog(directory, { settings })
    await fill(log, 30)
    const names = (await readdir(directory)).filter((name) => name.endsWith('.log')).sort()
    for (const name of names.slice(0, -1)) {
      const path = `${directory}/${name}`
      const content = Uint8Array.from(await readFile(path))
      await unlink(path)
      const { problems } = await log.verify()
      await writeFile(path, content)
      expect(problems.map(({ kind }) => kind)).toEqual(['file-missing'])
    }
    expect(names.length).toBeGreaterThan(2)
    await log.close()
  })

  it('goes on behind damage and reports each place', async () => {
    const { paths, verify } = await filled()
    const damagedAt: [string, number][] = []
    for (const path of [paths[1]!, paths[3]!]) {
      const starts = startsOf(await readFile(path))
      for (const start of [starts[2]!, starts[6]!]) damagedAt.push([path, start])
    }
    const [crc, size, version, body] = damagedAt
    await change(crc![0], (content) => flip(content, crc![1] + 17, 1))
    await change(size![0], (content) => void writeInt32(content, size![1] + 8, 2_000_000_000))
    await change(version![0], (content) => flip(content, version![1] + 16, 3))
    await change(body![0], (content) => void content.fill(0xee, body![1] + 62, body![1] + 70))
    const report = await verify()
    expect(report.problems.map(({ path, position }) => [path, position])).toEqual(damagedAt)
    expect(report.problems.map(({ kind }) => kind)).toEqual([
      'batch-crc',
      'batch-cut-off',
      'batch-structure',
      'batch-crc',
    ])
    expect(report.batches).toBe(116)
    expect(report.problems.every(({ bytes, offset }) => bytes > 60 && offset > 0)).toBe(true)
  })

  it('reports what no CRC covers: offsets and leader epochs', async () => {
    const { paths, verify } = await filled()
    const starts = startsOf(await readFile(paths[1]!))
    const base = Number(paths[1]!.slice(-24, -4))
    for (const offset of [base - 1, base + 90, 2 ** 40]) {
      const before = await readFile(paths[1]!)
      await change(paths[1]!, (content) => setBaseOffset(content, starts[0]!, offset) as undefined)
      const report = await verify()
      expect(report.problems[0]).toMatchObject({ kind: 'offset-order', path: paths[1], position: 0, offset: base })
      await writeFile(paths[1]!, before)
    }
    await change(paths[1]!, (content) => setLeaderEpoch(content, starts[3]!, 77) as undefined)
    expect((await verify()).problems).toMatchObject([{ kind: 'leader-epoch', position: starts[3] }])
  })

  it('reports every kind of damage beside the segments', async () => {
    const { directory, paths, verify } = await filled()
    const stem = paths[1]!.slice(0, -4)
    const damages: [string, string, (content: Uint8Array) => Uint8Array | undefined][] = [
      ['offset-index', `${stem}.index`, (content) => flip(content, 7, 4)],
      ['offset-index', `${stem}.index`, (content) => flip(content, 3, 0x40)],
      ['offset-index', `${stem}.index`, (content) => content.subarray(0, content.length - 3)],
      ['time-index', `${stem}.timeindex`, (content) => flip(content, 7, 1)],
      ['time-index', `${stem}.timeindex`, () => new Uint8Array(0)],
      ['transaction-index', `${stem}.txnindex`, (content) => flip(content, 9, 1)],
      ['transaction-index', `${stem}.txnindex`, () => new Uint8Array(0)],
      ['producer-snapshot', `${stem}.snapshot`, (content) => flip(content, 20, 1)],
      ['leader-epoch-checkpoint', `${directory}/leader-epoch-checkpoint`, () => new Uint8Array(0)],
      ['leader-epoch', `${directory}/leader-epoch-checkpoint`, () => new TextEncoder().encode('0\n2\n0 0\n3 80\n')],
    ]
    for (const [kind, path, damage] of damages) {
      const before = await readFile(path)
      await change(path, damage)
      expect([path, kindsOf(await verify())]).toEqual([path, [kind]])
      await writeFile(path, before)
    }
    for (const suffix of ['.index', '.timeindex', '.txnindex']) {
      const before = await readFile(stem + suffix)
      await unlink(stem + suffix)
      expect((await verify()).problems).toMatchObject([{ path: stem + suffix, position: -1 }])
      await writeFile(stem + suffix, before)
    }
    expect((await verify()).problems).toEqual([])
  })

  it('stops when it is aborted', async () => {
    const { directory } = await filled()
    const signal = AbortSignal.abort(new Error('enough'))
    const verifying = verifyLog({ env, directory, settings }, { signal })
    await expect(verifying).rejects.toMatchObject({ code: 'PAGELOG_ABORTED', cause: { message: 'enough' } })
  })
})

onEachDisk('repair', () => {
  it('of an open log builds anew what lies beside the segments', async () => {
    const { directory, paths } = await filled()
    const log = await openLog(directory, { settings, cleanShutdown: true })
    const stem = paths[1]!.slice(0, -4)
    await change(`${stem}.index`, (content) => flip(content, 7, 4))
    await change(`${stem}.txnindex`, () => new Uint8Array(0))
    await change(`${stem}.snapshot`, () => new Uint8Array(9))
    const report = await log.repair()
    expect(kindsOf(report.before)).toEqual(['producer-snapshot', 'offset-index', 'transaction-index'])
    expect([report.remaining, report.removed]).toEqual([[], []])
    expect(report.rebuilt).toContain(`${stem}.snapshot`)
    expect((await log.abortedTransactions(0, 160)).length).toBe(20)
    await log.close()
  })

  it('leaves damaged batches unless it is told what to do with them', async () => {
    const { directory, paths } = await filled()
    const starts = startsOf(await readFile(paths[1]!))
    await change(paths[1]!, (content) => flip(content, starts[2]! + 65, 1))
    const damaged = await readFile(paths[1]!)
    const report = await repairLog({ env, directory, settings })
    expect(report.remaining).toMatchObject([{ kind: 'batch-crc', path: paths[1], position: starts[2] }])
    expect([report.removed, (await readFile(paths[1]!)).equals(damaged)]).toEqual([[], true])
  })

  it('truncates at the first damage', async () => {
    const { directory, paths } = await filled()
    const starts = startsOf(await readFile(paths[1]!))
    await change(paths[1]!, (content) => flip(content, starts[3]! + 65, 1))
    const report = await repairLog({ env, directory, settings }, { damagedBatches: 'truncate' })
    expect(report.remaining).toEqual([])
    expect(report.removed.map(({ path, position }) => [path, position])).toEqual([
      ...paths
        .slice(2)
        .reverse()
        .map((path) => [path, 0]),
      [paths[1], starts[3]],
    ])
    const base = Number(paths[1]!.slice(-24, -4))
    expect(report.logEndOffset).toBeGreaterThan(base)
    const log = await openLog(directory, { settings, cleanShutdown: true })
    expect([log.logEndOffset, (await readAll(log, 0, 5000)).length]).toEqual([report.logEndOffset, report.logEndOffset])
    await log.appendBatch(batch(), 0)
    await log.close()
  })

  it('cuts damaged bytes out and keeps what is good around them', async () => {
    for (const segment of [1, -1]) {
      const { directory, paths } = await filled()
      const path = paths.at(segment)!
      const starts = startsOf(await readFile(path))
      await change(path, (content) => void content.fill(0, starts[1]! + 30, starts[2]! + 30))
      const report = await repairLog({ env, directory, settings }, { damagedBatches: 'skip' })
      expect(report.remaining).toEqual([])
      expect(report.removed).toMatchObject([{ path, position: starts[1], bytes: starts[3]! - starts[1]! }])
      expect(report.logEndOffset).toBe(160)
      for (const cleanShutdown of [true, false]) {
        const log = await openLog(directory, { settings, cleanShutdown, recoveryPoint: cleanShutdown ? 160 : 0 })
        expect(log.logEndOffset).toBeGreaterThanOrEqual(160)
        let records = 0
        for await (const one of log.read()) records += one.recordCount
        expect(records).toBeGreaterThanOrEqual(120 - 4) // markers are not shown
        await log.appendBatch(batch(), 0)
        await log.close({ clean: false })
      }
    }
  })

  it('sets right what no CRC covers', async () => {
    const { directory, paths } = await filled()
    const before = await readFile(paths[1]!)
    const starts = startsOf(before)
    await change(paths[1]!, (content) => {
      setLeaderEpoch(content, starts[2]!, 900)
      setBaseOffset(content, starts[4]!, 2 ** 33)
      return undefined
    })
    const report = await repairLog({ env, directory, settings }, { damagedBatches: 'skip' })
    expect([report.remaining, report.removed, report.corrected]).toEqual([[], [], 2])
    expect((await readFile(paths[1]!)).equals(before)).toBe(true)
  })

  it('of a directory brings back a partition that refuses to open', async () => {
    const path = await temporaryDirectory()
    const options = { env, path, defaults: settings }
    const directory = await LogDirectory.open(options)
    await fill(await directory.create('events', 0), 40)
    await directory.close()
    const names = (await readdir(`${path}/events-0`)).filter((name) => name.endsWith('.log'))
    const active = `${path}/events-0/${names.at(-1)}`
    await change(active, (content) => content.subarray(0, content.length - 10))
    const damaged = await LogDirectory.open(options)
    expect(damaged.damaged.get('events-0')).toMatchObject({ code: 'PAGELOG_CORRUPT', path: active })
    await expect(damaged.repair('events', 1)).rejects.toMatchObject({ code: 'PAGELOG_NOT_FOUND' })
    expect((await damaged.repair('events', 0)).remaining).toMatchObject([{ kind: 'batch-cut-off', path: active }])
    expect(damaged.get('events', 0)).toBeUndefined()
    const report = await damaged.repair('events', 0, { damagedBatches: 'truncate' })
    expect([report.remaining, report.logEndOffset]).toEqual([[], 159])
    const log = damaged.get('events', 0)!
    expect([log.logEndOffset, damaged.damaged.size]).toEqual([159, 0])
    await log.appendBatch(batch(), 0)
    await damaged.close()
    const again = await LogDirectory.open(options)
    expect([again.wasClean, again.get('events', 0)?.logEndOffset]).toEqual([true, 160])
    // One that is open is closed for it, and its successor goes on.
    expect((await again.repair('events', 0)).before.problemCount).toBe(0)
    await again.get('events', 0)!.appendBatch(batch(), 0)
    await again.close()
  })
})
