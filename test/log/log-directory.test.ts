import { expect, it } from 'vitest'
import { LogDirectory, type LogDirectoryOptions } from '../../src/log/index.ts'
import { batchesOf } from '../../src/record/index.ts'
import { descriptors } from '../env/sockets.ts'
import { mkdir, onEachDisk, readdir, readFile, stat, truncate, unlink, writeFile } from './disks.ts'
import {
  batch,
  bytesOf,
  defaults,
  diskFull,
  env,
  FailingDisk,
  readAll,
  storageError,
  temporaryDirectory,
} from './support.ts'

const ID = 'AAAAAAAAAAAAAAAAAAAAAQ'
const open = (path: string, options: Partial<LogDirectoryOptions> = {}): Promise<LogDirectory> =>
  LogDirectory.open({ env, path, defaults, ...options })
const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

onEachDisk('LogDirectory', () => {
  it('begins partitions and finds them again', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path, { nodeId: 3, clusterId: 'cluster' })
    const log = await directory.create('a-topic', 7, ID)
    expect(await directory.create('a-topic', 7, ID)).toBe(log)
    const [one, two] = await Promise.all([directory.create('b', 0, ID), directory.create('b', 0, ID)])
    expect(one).toBe(two)
    await log.appendBatch(batch({ count: 4 }), 0)
    await directory.close()
    expect(await readFile(`${path}/a-topic-7/partition.metadata`, 'utf8')).toBe(`version: 0\ntopic_id: ${ID}`)
    expect(await readFile(`${path}/recovery-point-offset-checkpoint`, 'utf8')).toBe('0\n2\na-topic 7 4\nb 0 0\n')

    const again = await open(path)
    expect([again.nodeId, again.clusterId, again.directoryId]).toEqual([3, 'cluster', directory.directoryId])
    expect(again.partitions()).toEqual([
      { topic: 'a-topic', partition: 7 },
      { topic: 'b', partition: 0 },
    ])
    expect(again.topicId('a-topic', 7)).toBe(ID)
    expect(again.get('a-topic', 7)?.logEndOffset).toBe(4)
    expect(again.get('a-topic', 8)).toBeUndefined()
    await again.close()
  })

  it('is refused to a second holder and to another node or cluster', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path, { nodeId: 1, clusterId: 'x' })
    await expect(open(path)).rejects.toMatchObject({ code: 'PAGELOG_LOCKED' })
    await directory.close()
    await expect(open(path, { nodeId: 2 })).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    await expect(open(path, { clusterId: 'y' })).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
    await (await open(path, { nodeId: 1 })).close()
  })

  it("reads Kafka's meta.properties", async () => {
    const path = await temporaryDirectory()
    const text =
      '#\n#Sat Nov 21 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\ndirectory.id=JJeSzTIVQ_6FXyU5P3vqOA\nnode.id=5\nversion=1\n'
    await writeFile(`${path}/meta.properties`, text)
    const directory = await open(path)
    expect([directory.nodeId, directory.clusterId]).toEqual([5, 'MkU3OEVBNTcwNTJENDM2Qg'])
    expect(directory.directoryId).toBe('JJeSzTIVQ_6FXyU5P3vqOA')
    await directory.close()
    expect(await readFile(`${path}/meta.properties`, 'utf8')).toBe(text)
  })

  it('marks a clean shutdown last and forgets the mark before it serves', async () => {
    const path = await temporaryDirectory()
    const marker = `${path}/.kafka_cleanshutdown`
    const directory = await open(path)
    expect(directory.wasClean).toBe(false)
    const log = await directory.create('t', 0, ID)
    await log.appendBatch(batch(), 0)
    await directory.close()
    expect(await readFile(marker, 'utf8')).toBe('{"version":0,"brokerEpoch":-1}')
    const clean = await open(path)
    expect([clean.wasClean, clean.get('t', 0)?.recovery.batchesScanned]).toEqual([true, 0])
    expect(await exists(marker)).toBe(false)
    await clean.get('t', 0)?.appendBatch(batch(), 0)
    await clean.close({ clean: false })
    expect(await exists(marker)).toBe(false)
    const unclean = await open(path)
    expect([unclean.wasClean, unclean.get('t', 0)?.recovery.batchesScanned]).toEqual([false, 1])
    await unclean.close()
  })

  it('removes partitions, those half removed too, and frees their names at once', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path)
    const log = await directory.create('t', 0, ID)
    for (let index = 0; index < 10; index++) await log.appendBatch(batch(), 0)
    await log.flush()
    await directory.remove('t', 0)
    await directory.remove('unknown', 0)
    await expect(log.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    const fresh = await directory.create('t', 0, ID)
    await fresh.appendBatch(batch(), 0)
    await directory.close({ clean: false })
    await mkdir(`${path}/t-1.0123-delete`)
    await mkdir(`${path}/not a partition`)
    const again = await open(path)
    expect(again.damaged.size).toBe(0)
    expect(again.get('t', 0)?.logEndOffset).toBe(1)
    expect((await readdir(path)).filter((name) => name.endsWith('-delete'))).toEqual([])
    expect(again.partitions().length).toBe(1)
    await again.close()
  })

  it('leaves a damaged partition out, keeps what is known of it and does not count as clean', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path)
    for (const topic of ['good', 'bad']) {
      const log = await directory.create(topic, 0, ID)
      for (let index = 0; index < 3; index++) await log.appendBatch(batch(), 0)
    }
    await directory.close()
    await unlink(`${path}/.kafka_cleanshutdown`)
    const file = `${path}/bad-0/00000000000000000000.log`
    const content = await readFile(file)
    content[(content.length / 3) * 2 + 8]! ^= 1 // the size of the last batch
    await writeFile(file, content)
    for (let round = 0; round < 2; round++) {
      const again = await open(path)
      expect(again.wasClean).toBe(false)
      expect(again.partitions()).toEqual([{ topic: 'good', partition: 0 }])
      expect(again.damaged.get('bad-0')).toMatchObject({ code: 'PAGELOG_CORRUPT', path: file })
      await expect(again.create('bad', 0, ID)).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
      await again.close()
    }
    expect((await readFile(file)).equals(content)).toBe(true)
    expect(await readFile(`${path}/recovery-point-offset-checkpoint`, 'utf8')).toContain('bad 0 3')
  })

  it('checks everything when its checkpoint file is damaged', async () => {
    for (const damage of ['', '0\n1\n', '1\n1\nt 0 2\n', '0\n1\nt 0\n', '0\n1\nt 0 x\n', 'garbage']) {
      const path = await temporaryDirectory()
      const directory = await open(path)
      const log = await directory.create('t', 0, ID)
      await log.appendBatch(batch({ count: 2 }), 0)
      await directory.close({ clean: false })
      await writeFile(`${path}/recovery-point-offset-checkpoint`, damage)
      const again = await open(path)
      expect((await readAll(again.get('t', 0)!)).length).toBe(2)
      await again.close()
    }
  })

  it('goes offline as a whole after a failed write, without a mark of clean shutdown', async () => {
    const path = await temporaryDirectory()
    const failing = new FailingDisk()
    const directory = await open(path, { env: failing.env })
    const [one, two] = [await directory.create('t', 0, ID), await directory.create('t', 1, ID)]
    await two.appendBatch(batch(), 0)
    const reasons: Error[] = []
    directory.onOffline((error) => reasons.push(error))
    failing.fails = (operation, file) =>
      operation === 'write' && file.includes('t-0') ? storageError(file) : undefined
    await expect(one.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect([directory.offline, reasons.length]).toEqual([true, 1])
    await expect(two.appendBatch(batch(), 0)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await expect(directory.create('t', 2, ID)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    await directory.close()
    expect(await exists(`${path}/.kafka_cleanshutdown`)).toBe(false)
    const again = await open(path)
    expect(again.get('t', 1)?.logEndOffset).toBe(1)
    await again.close()
  })

  it('goes offline when a partition cannot be begun, but not because the disk is full', async () => {
    for (const cause of [diskFull, storageError]) {
      const path = await temporaryDirectory()
      const failing = new FailingDisk()
      const directory = await open(path, { env: failing.env })
      for (const [index, failed] of ['replaceFile', 'open', 'leader-epoch-checkpoint', 'syncDirectory'].entries()) {
        if (directory.offline) break
        failing.fails = (operation, file) => (operation === failed || file.endsWith(failed) ? cause(file) : undefined)
        const before = descriptors()
        await expect(directory.create('t', index, ID)).rejects.toMatchObject({ code: cause('').code })
        expect(descriptors()).toBe(before)
        failing.fails = () => undefined
      }
      expect(directory.offline).toBe(cause === storageError)
      if (cause === diskFull) expect((await directory.create('t', 0, ID)).logEndOffset).toBe(0)
      await directory.close()
    }
  })

  it('gives room back on a full disk, by removing a partition', async () => {
    const path = await temporaryDirectory()
    const failing = new FailingDisk()
    const directory = await open(path, { env: failing.env })
    const log = await directory.create('t', 0, ID)
    for (let index = 0; index < 10; index++) await log.appendBatch(batch(), 0)
    await log.flush()
    failing.fails = (operation, file) => (operation === 'replaceFile' ? diskFull(file) : undefined)
    await directory.remove('t', 0)
    expect([directory.offline, await readdir(path)]).toEqual([false, expect.not.arrayContaining(['t-0'])])
    await expect(directory.create('t', 0, ID)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    failing.fails = () => undefined
    await (await directory.create('t', 0, ID)).appendBatch(batch(), 0)
    await directory.close({ clean: false })
    const again = await open(path)
    expect([again.damaged.size, again.get('t', 0)?.logEndOffset]).toEqual([0, 1])
    await again.close()
  })

  it('begins a partition again only after the one of that name is gone, even while somebody reads it', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path)
    const log = await directory.create('t', 0, ID)
    await log.appendBatch(batch({ count: 5, value: 'old' }), 0)
    const slice = await log.slice(0, 1000)
    const removing = directory.remove('t', 0)
    const fresh = await directory.create('t', 0, 'AAAAAAAAAAAAAAAAAAAAAg')
    expect(fresh.logEndOffset).toBe(0)
    await removing
    await fresh.appendBatch(batch({ value: 'new' }), 0)
    expect(directory.topicId('t', 0)).toBe('AAAAAAAAAAAAAAAAAAAAAg')
    expect([...batchesOf(await bytesOf(slice.regions))].map((one) => one.recordCount)).toEqual([5])
    await directory.close()
    const again = await open(path)
    expect(await readAll(again.get('t', 0)!)).toEqual([{ offset: 0, value: 'new' }])
    await again.close()
  })

  it('tells of a partition that lost synced records, after a clean shutdown too', async () => {
    for (const clean of [true, false]) {
      const path = await temporaryDirectory()
      const directory = await open(path)
      const log = await directory.create('t', 0, ID)
      await log.appendBatch(batch({ count: 2 }), 0)
      const end = log.size
      await log.appendBatch(batch({ count: 3 }), 0)
      await directory.close()
      if (!clean) await unlink(`${path}/.kafka_cleanshutdown`)
      await truncate(`${path}/t-0/00000000000000000000.log`, end)
      const again = await open(path)
      expect(again.damaged.get('t-0')).toMatchObject({ code: 'PAGELOG_CORRUPT', offset: 2 })
      await again.close()
    }
  })

  it('keeps nothing open when it cannot be opened', async () => {
    const path = await temporaryDirectory()
    const directory = await open(path)
    for (let index = 0; index < 20; index++) await directory.create('t', index, ID)
    await directory.close()
    const failing = new FailingDisk()
    failing.fails = (operation, file) =>
      operation === 'open' && file.includes('t-15/') ? storageError(file) : undefined
    const before = descriptors()
    await expect(open(path, { env: failing.env })).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    expect(descriptors()).toBe(before)
    const again = await open(path)
    expect(again.partitions().length).toBe(20)
    await again.close()
  })

  it('is given up only when none of its checkpoints is being written any more', async () => {
    const ticks: (() => void)[] = []
    const every: typeof env.clock.every = (_intervalMs, callback) => {
      ticks.push(callback)
      return { cancel: () => {} }
    }
    const { disk } = env
    let write = (): void => {}
    const writing = new Promise<void>((resolve) => {
      write = resolve
    })
    let isHeld = false
    let writes = 0
    const replaceFile: typeof disk.replaceFile = async (path, content) => {
      if (isHeld && path.includes('checkpoint')) {
        writes++
        await writing
      }
      await disk.replaceFile(path, content)
    }
    const held = { ...new FailingDisk().disk, replaceFile }
    const directory = await open(await temporaryDirectory(), {
      env: { ...env, disk: held, clock: { ...env.clock, every } },
    })
    await directory.create('t', 0, ID)
    isHeld = true
    for (const tick of ticks) tick()
    while (writes === 0) await new Promise(setImmediate)
    let isClosed = false
    const closing = directory.close({ clean: false }).then(() => {
      isClosed = true
    })
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    expect(isClosed).toBe(false)
    write()
    await closing
  })

  it('is closed for good', async () => {
    const directory = await open(await temporaryDirectory())
    await directory.close()
    await directory.close()
    await expect(directory.create('t', 0, ID)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})
