import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Disk, File } from '../../src/env/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { EmbeddedMetadata, type EmbeddedMetadataOptions, type Operation } from '../../src/metadata/index.ts'

const { disk, clock } = nodeEnv()
let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-metadata-'))
  path = join(directory, 'metadata.journal')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const storedValue = async (store: EmbeddedMetadata, key: string) => (await store.get(key)).pair?.value
const keysOf = async (store: EmbeddedMetadata) => (await store.range('')).pairs.map((pair) => pair.key)
const put = (key: string, value: string): Operation => ({ type: 'put', key, value })

async function withStore<T>(
  use: (store: EmbeddedMetadata) => Promise<T>,
  options: { compactAboveBytes?: number; disk?: Disk; historyRevisions?: number } = {},
): Promise<T> {
  const store = await EmbeddedMetadata.open({ disk, clock, path, ...options })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

/** A disk whose files fail as told. */
function failing(how: { write?: Error; sync?: Error; replace?: Error }): Disk {
  const wrap = (file: File): File =>
    new Proxy(file, {
      get(target, name) {
        if (name === 'write' && how.write) return () => Promise.reject(how.write)
        if (name === 'dataSync' && how.sync) return () => Promise.reject(how.sync)
        const value = Reflect.get(target, name, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  return new Proxy(disk, {
    get(target, name) {
      if (name === 'replaceFile' && how.replace) return () => Promise.reject(how.replace)
      if (name === 'open') return async (...args: Parameters<Disk['open']>) => wrap(await target.open(...args))
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('transactions', () => {
  test('a key has create and mod revision and a version, and starts again after deletion', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
      await store.transact([], [put('a', '2')])
      expect((await store.get('a')).pair).toEqual({
        key: 'a',
        value: '2',
        createRevision: 1,
        modRevision: 2,
        version: 2,
      })
      await store.transact([], [{ type: 'delete', key: 'a' }])
      expect((await store.get('a')).pair).toBeUndefined()
      await store.transact([], [put('a', '3')])
      expect((await store.get('a')).pair).toEqual({
        key: 'a',
        value: '3',
        createRevision: 4,
        modRevision: 4,
        version: 1,
      })
    })
  })

  test('create-if-absent lets one of many win, also when they are written together', async () => {
    await withStore(async (store) => {
      const attempts = Array.from({ length: 20 }, (_, i) =>
        store.transact([{ key: 'leader', field: 'createRevision', equals: 0 }], [put('leader', String(i))]),
      )
      const results = await Promise.all(attempts)
      expect(results.filter((result) => result.succeeded)).toHaveLength(1)
      expect(await storedValue(store, 'leader')).toBe('0')
      expect(store.revision).toBe(1)
    })
  })

  test('a failed comparison changes nothing and tells the revision', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
      const refused = await store.transact([{ key: 'a', field: 'value', equals: '2' }], [put('b', 'x')])
      expect(refused).toEqual({ succeeded: false, revision: 1 })
      expect((await store.get('b')).pair).toBeUndefined()
    })
  })

  test('all operations of a transaction share a revision', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('p/1', 'x'), put('p/2', 'y'), put('q', 'z')])
      expect((await store.range('p/')).pairs.map((pair) => [pair.key, pair.modRevision])).toEqual([
        ['p/1', 1],
        ['p/2', 1],
      ])
      await store.transact([], [{ type: 'deletePrefix', prefix: 'p/' }])
      expect(await keysOf(store)).toEqual(['q'])
    })
  })

  test('deleting what is not there is no change', async () => {
    await withStore(async (store) => {
      expect(await store.transact([], [{ type: 'delete', key: 'a' }])).toEqual({ succeeded: true, revision: 0 })
    })
  })
})

describe('durability', () => {
  test('a reopened store is the same, with revisions', async () => {
    const before = await withStore(async (store) => {
      await store.transact([], [put('a', '1'), put('b', '2')])
      await store.transact([], [put('a', 'ä€😀')])
      return await store.range('')
    })
    const after = await withStore(async (store) => await store.range(''))
    expect(after).toEqual(before)
  })

  test('compaction keeps keys, revisions and the file small', async () => {
    const before = await withStore(
      async (store) => {
        for (let i = 0; i < 300; i++) await store.transact([], [put(`k${i % 3}`, `value ${i}`)])
        return await store.range('')
      },
      { compactAboveBytes: 1000 },
    )
    expect((await stat(path)).size).toBeLessThan(3000)
    expect(await withStore(async (store) => await store.range(''))).toEqual(before)
    await withStore(async (store) => {
      expect(await store.transact([], [put('next', '')])).toEqual({ succeeded: true, revision: 301 })
    })
  })

  test('a last entry torn at any byte is cut, what is before it stays', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
    })
    const whole = await readFile(path)
    await withStore(async (store) => {
      await store.transact([], [put('b', 'second')])
    })
    const both = await readFile(path)
    for (let length = whole.length; length < both.length; length++) {
      await writeFile(path, both.subarray(0, length))
      await withStore(async (store) => {
        expect(await keysOf(store)).toEqual(['a'])
        await store.transact([], [put('c', 'new')])
      })
      await withStore(async (store) => {
        expect(await keysOf(store)).toEqual(['a', 'c'])
      })
    }
  })

  test('a last entry of zeroes (length written, data not) is cut', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
    })
    await appendFile(path, new Uint8Array(500))
    await withStore(async (store) => {
      expect(await storedValue(store, 'a')).toBe('1')
    })
    expect((await stat(path)).size).toBeLessThan(200)
  })

  test('damage in front of a valid entry is refused, not cut', async () => {
    await withStore(async (store) => {
      for (let i = 0; i < 5; i++) await store.transact([], [put(`k${i}`, 'v')])
    })
    const good = await readFile(path)
    const secondEntry = 12 + new DataView(good.buffer, good.byteOffset).getUint32(0)
    for (const at of [0, 5, 10, 20, secondEntry, secondEntry + 15]) {
      const bad = Uint8Array.from(good)
      bad[at]! ^= 1
      await writeFile(path, bad)
      const opening = EmbeddedMetadata.open({ disk, clock, path })
      await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
      await expect(opening).rejects.toThrow(
        /^the metadata journal [^\n]+ is damaged at byte \d+, before its last entry$/,
      )
      expect(await readFile(path)).toEqual(Buffer.from(bad))
    }
  })

  test('whole entries that are none of ours are refused, and nothing is overwritten', async () => {
    const { encodeEntry } = await import('../../src/metadata/journal.ts')
    const first = encodeEntry(JSON.stringify({ r: 1, t: [[['p', 'a', '1']]] }))
    for (const payload of ['no JSON', '7', '{"r":5,"t":[]}', '{"s":1}', '{"r":2,"t":7}', 'null']) {
      const content = Buffer.concat([first, encodeEntry(payload)])
      await writeFile(path, content)
      const opening = EmbeddedMetadata.open({ disk, clock, path })
      await expect(opening).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT', position: first.length })
      expect(await readFile(path)).toEqual(content)
    }
  })

  test('after any history, reopening gives what was acknowledged', async () => {
    const operation = fc.oneof(
      fc.record({
        type: fc.constant('put' as const),
        key: fc.constantFrom('a', 'b', 'c/1', 'c/2'),
        value: fc.string(),
      }),
      fc.record({ type: fc.constant('delete' as const), key: fc.constantFrom('a', 'b', 'c/1') }),
      fc.record({ type: fc.constant('deletePrefix' as const), prefix: fc.constantFrom('c/', 'a') }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 20 }), async (transactions) => {
        await rm(path, { force: true })
        const before = await withStore(
          async (store) => {
            const mirror = new Map<string, string>()
            store.watch('', 1, {
              changed(events) {
                for (const event of events) {
                  if (event.type === 'put') mirror.set(event.key, event.value)
                  else mirror.delete(event.key)
                }
              },
              lost: () => expect.unreachable(),
            })
            await Promise.all(
              // One that puts a key twice, or also deletes it, is refused and changes nothing.
              transactions.map((operations) => store.transact([], operations).catch(() => {})),
            )
            expect(new Map((await store.range('')).pairs.map((pair) => [pair.key, pair.value]))).toEqual(
              new Map([...mirror].sort(([a], [b]) => (a < b ? -1 : 1))),
            )
            return await store.range('')
          },
          { compactAboveBytes: 400 },
        )
        const after = await withStore(async (store) => await store.range(''))
        expect(after).toEqual(before)
      }),
      { numRuns: 60 },
    )
  })
})

describe('failures', () => {
  test('a full disk refuses the change and the next one may succeed', async () => {
    const how: { write?: Error } = { write: Object.assign(new Error('full'), { code: 'PAGELOG_DISK_FULL' }) }
    const { PagelogError } = await import('../../src/base/index.ts')
    how.write = new PagelogError('PAGELOG_DISK_FULL', 'full')
    await withStore(
      async (store) => {
        await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
        expect((await store.get('a')).pair).toBeUndefined()
        delete how.write
        expect(await store.transact([], [put('a', '2')])).toEqual({ succeeded: true, revision: 1 })
      },
      { disk: failing(how) },
    )
  })

  test('a compaction that a full disk refuses costs nothing and is made when there is room', async () => {
    const { PagelogError } = await import('../../src/base/index.ts')
    const how: { replace?: Error } = { replace: new PagelogError('PAGELOG_DISK_FULL', 'full') }
    await withStore(
      async (store) => {
        for (let i = 1; i <= 100; i++) {
          expect(await store.transact([], [put('key', `value ${i}`)])).toEqual({ succeeded: true, revision: i })
        }
        const sizeWhileFull = (await stat(path)).size
        delete how.replace
        await store.transact([], [put('key', 'last')])
        await store.transact([], [put('key', 'very last')])
        expect((await stat(path)).size).toBeLessThan(sizeWhileFull / 4)
      },
      { disk: failing(how), compactAboveBytes: 1000 },
    )
    expect(await withStore(async (store) => [store.revision, await storedValue(store, 'key')])).toEqual([
      102,
      'very last',
    ])
  })

  test('after a failed sync nothing is ever acknowledged again', async () => {
    const how: { sync?: Error } = {}
    await withStore(
      async (store) => {
        await store.transact([], [put('a', '1')])
        how.sync = new Error('EIO')
        await expect(store.transact([], [put('a', '2')])).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
        delete how.sync
        await expect(store.transact([], [put('a', '3')])).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
        // Memory may be behind the journal: a look at it must not settle what became of the change.
        await expect(store.get('a')).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
      },
      { disk: failing(how) },
    )
  })

  test('a closed store refuses', async () => {
    const store = await EmbeddedMetadata.open({ disk, clock, path })
    await store.close()
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})

describe('leases in the journal', () => {
  const setUp = async (options: Partial<EmbeddedMetadataOptions> = {}) => {
    const virtual = new VirtualClock()
    const open = () => EmbeddedMetadata.open({ disk, clock: virtual, path, ...options })
    return { virtual, open, store: await open() }
  }
  const gone = { code: 'PAGELOG_LEASE_LOST' }

  test('a reopened store gives every lease its full time again, and ends it after that', async () => {
    const { virtual, open, store } = await setUp()
    const { id } = await store.grantLease(1000)
    await store.transact([], [{ type: 'put', key: 'a', value: '', lease: id }])
    virtual.advance(900)
    await store.close()
    virtual.advance(5000)
    const again = await open()
    virtual.advance(900)
    expect(await again.keepAlive(id)).toBe(1000)
    expect((await again.get('a')).pair).toMatchObject({ lease: id })
    virtual.advance(1000)
    await vi.waitFor(async () => expect(await keysOf(again)).toEqual([]))
    await again.close()
    const last = await open()
    await expect(last.keepAlive(id)).rejects.toMatchObject(gone)
    await last.close()
  })

  test('an id is never given twice, whatever was compacted away', async () => {
    const { open, store } = await setUp({ compactAboveBytes: 0 })
    const granted: string[] = []
    for (let i = 0; i < 5; i++) {
      const { id } = await store.grantLease(1000)
      granted.push(id)
      await store.transact([], [{ type: 'put', key: 'a', value: 'x'.repeat(200), lease: id }])
      await store.revokeLease(id)
      for (let n = 0; n < 10; n++) await store.transact([], [put('b', 'x'.repeat(200))])
    }
    await store.close()
    const again = await open()
    granted.push((await again.grantLease(1000)).id)
    expect(new Set(granted).size).toBe(6)
    await again.close()
  })

  test('a store that was held up takes what it missed for a pause and not for silence', async () => {
    const { virtual, store } = await setUp()
    const { id } = await store.grantLease(1000)
    await store.transact([], [{ type: 'put', key: 'a', value: '', lease: id }])
    // The process is stopped: its clock goes on, its timers do not.
    const held = virtual.monotonicMs.bind(virtual)
    virtual.monotonicMs = () => held() + 5000
    virtual.advance(1000)
    expect(await store.keepAlive(id)).toBe(1000)
    virtual.advance(999)
    await store.transact([], [put('b', '')])
    expect(await keysOf(store)).toEqual(['a', 'b'])
    virtual.advance(1)
    await vi.waitFor(async () => expect(await keysOf(store)).toEqual(['b']))
    await store.close()
  })

  test('a full disk keeps a lease from ending, and it ends when there is room', async () => {
    const { PagelogError } = await import('../../src/base/index.ts')
    let isFull = false
    let refusals = 0
    const how = {
      get write(): Error | undefined {
        if (!isFull) return undefined
        refusals++
        return new PagelogError('PAGELOG_DISK_FULL', 'full')
      },
    }
    const { virtual, store } = await setUp({ disk: failing(how as { write?: Error }) })
    const { id } = await store.grantLease(1000)
    await store.transact([], [{ type: 'put', key: 'a', value: '', lease: id }])
    isFull = true
    virtual.advance(1000)
    await vi.waitFor(() => expect(refusals).toBeGreaterThan(0))
    await expect(store.keepAlive(id)).rejects.toMatchObject(gone)
    expect(await keysOf(store)).toEqual(['a'])
    isFull = false
    await vi.waitFor(async () => {
      virtual.advance(1000)
      expect(await keysOf(store)).toEqual([])
    })
    await store.close()
  })

  test('a lease ends with everything that hung on it in one revision, the others stay', async () => {
    const { virtual, store } = await setUp()
    const [short, long] = [await store.grantLease(1000), await store.grantLease(3000)]
    const { revision } = await store.transact(
      [],
      ['a', 'b', 'c'].map((key) => ({ type: 'put', key, value: '', lease: key === 'b' ? long.id : short.id }) as const),
    )
    virtual.advance(1500)
    await vi.waitFor(async () =>
      expect(await store.range('')).toMatchObject({ pairs: [{ key: 'b' }], revision: revision + 1 }),
    )
    virtual.advance(1500)
    await vi.waitFor(async () => expect(await store.range('')).toEqual({ pairs: [], revision: revision + 2 }))
    expect(virtual.timerCount).toBe(0)
    await store.close()
  })

  test('a journal from before there were leases is read', async () => {
    const { encodeEntry } = await import('../../src/metadata/journal.ts')
    const entries = [
      { r: 1, t: [[['p', 'a', '1']], [['p', 'b', '2']]] },
      { s: 2, k: [['a', '1', 1, 1, 1]] },
      { r: 3, t: [[['p', 'a', '3']]] },
    ]
    await writeFile(path, Buffer.concat(entries.map((entry) => encodeEntry(JSON.stringify(entry)))))
    await withStore(async (store) => {
      expect(await store.range('')).toEqual({
        pairs: [{ key: 'a', value: '3', createRevision: 1, modRevision: 3, version: 2 }],
        revision: 3,
      })
      expect((await store.grantLease(1000)).id).toBe('1')
    })
  })
})

test('what a watch can begin with is bounded in bytes too', async () => {
  const store = await EmbeddedMetadata.open({ disk, clock, path, historyBytes: 10_000 })
  for (let i = 0; i < 30; i++) await store.transact([], [put('a', 'x'.repeat(1000))])
  const told: string[] = []
  const listen = (from: number, name: string) =>
    store.watch('', from, {
      changed: (_, revision) => told.push(`${name} ${revision}`),
      lost: (why) => told.push(`${name} ${why}`),
    })
  listen(20, 'old')
  listen(28, 'new')
  await vi.waitFor(() => expect(told).toEqual(['old compacted', 'new 28', 'new 29', 'new 30']))
  await store.close()
})
