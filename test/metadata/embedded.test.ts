import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Disk, File } from '../../src/env/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { EmbeddedMetadata, type MetadataEvent, type Operation } from '../../src/metadata/index.ts'

const { disk } = nodeEnv()
let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-metadata-'))
  path = join(directory, 'metadata.journal')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const put = (key: string, value: string): Operation => ({ type: 'put', key, value })

async function withStore<T>(
  use: (store: EmbeddedMetadata) => Promise<T>,
  options: { compactAboveBytes?: number; disk?: Disk; historyRevisions?: number } = {},
): Promise<T> {
  const store = await EmbeddedMetadata.open({ disk, path, ...options })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

describe('transactions', () => {
  test('a key has create and mod revision and a version, and starts again after deletion', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
      await store.transact([], [put('a', '2')])
      expect(store.get('a')).toEqual({ key: 'a', value: '2', createRevision: 1, modRevision: 2, version: 2 })
      await store.transact([], [{ type: 'delete', key: 'a' }])
      expect(store.get('a')).toBeUndefined()
      await store.transact([], [put('a', '3')])
      expect(store.get('a')).toEqual({ key: 'a', value: '3', createRevision: 4, modRevision: 4, version: 1 })
    })
  })

  test('create-if-absent lets one of many win, also when they are written together', async () => {
    await withStore(async (store) => {
      const attempts = Array.from({ length: 20 }, (_, i) =>
        store.transact([{ key: 'leader', field: 'createRevision', equals: 0 }], [put('leader', String(i))]),
      )
      const results = await Promise.all(attempts)
      expect(results.filter((result) => result.succeeded)).toHaveLength(1)
      expect(store.get('leader')?.value).toBe('0')
      expect(store.revision).toBe(1)
    })
  })

  test('a failed comparison changes nothing and tells the revision', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
      const refused = await store.transact([{ key: 'a', field: 'value', equals: '2' }], [put('b', 'x')])
      expect(refused).toEqual({ succeeded: false, revision: 1 })
      expect(store.get('b')).toBeUndefined()
    })
  })

  test('all operations of a transaction share a revision', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('p/1', 'x'), put('p/2', 'y'), put('q', 'z')])
      expect(store.range('p/').map((pair) => [pair.key, pair.modRevision])).toEqual([
        ['p/1', 1],
        ['p/2', 1],
      ])
      await store.transact([], [{ type: 'deletePrefix', prefix: 'p/' }])
      expect(store.range('').map((pair) => pair.key)).toEqual(['q'])
    })
  })

  test('deleting what is not there is no change', async () => {
    await withStore(async (store) => {
      expect(await store.transact([], [{ type: 'delete', key: 'a' }])).toEqual({ succeeded: true, revision: 0 })
    })
  })
})

describe('watches', () => {
  test('see the changes below their prefix, those of one revision together', async () => {
    await withStore(async (store) => {
      const seen: (readonly MetadataEvent[])[] = []
      store.watch('p/', 1, (events) => seen.push(events))
      await store.transact([], [put('p/1', 'x'), put('p/2', 'y'), put('q', 'z')])
      await store.transact([], [put('q', 'w')])
      await store.transact([], [{ type: 'delete', key: 'p/1' }])
      expect(seen.map((events) => events.map((event) => `${event.type} ${event.key} ${event.revision}`))).toEqual([
        ['put p/1 1', 'put p/2 1'],
        ['delete p/1 3'],
      ])
    })
  })

  test('that begin in the past are told the past first, and refused when it is forgotten', async () => {
    await withStore(
      async (store) => {
        for (let i = 1; i <= 30; i++) await store.transact([], [put('a', String(i))])
        const seen: string[] = []
        store.watch('', store.revision - 2, (events) => seen.push(events[0]!.value))
        expect(seen).toEqual(['28', '29', '30'])
        expect(() => store.watch('', 1, () => {})).toThrow(
          expect.objectContaining({ code: 'PAGELOG_OFFSET_OUT_OF_RANGE' }),
        )
      },
      { historyRevisions: 10 },
    )
  })

  test('stop when told to', async () => {
    await withStore(async (store) => {
      let calls = 0
      const unwatch = store.watch('', 1, () => calls++)
      await store.transact([], [put('a', '1')])
      unwatch()
      await store.transact([], [put('a', '2')])
      expect(calls).toBe(1)
    })
  })
})

describe('durability', () => {
  test('a reopened store is the same, with revisions', async () => {
    const before = await withStore(async (store) => {
      await store.transact([], [put('a', '1'), put('b', '2')])
      await store.transact([], [put('a', 'ä€😀')])
      return { all: store.range(''), revision: store.revision }
    })
    const after = await withStore(async (store) => ({ all: store.range(''), revision: store.revision }))
    expect(after).toEqual(before)
  })

  test('compaction keeps keys, revisions and the file small', async () => {
    const before = await withStore(
      async (store) => {
        for (let i = 0; i < 300; i++) await store.transact([], [put(`k${i % 3}`, `value ${i}`)])
        return { all: store.range(''), revision: store.revision }
      },
      { compactAboveBytes: 1000 },
    )
    expect((await stat(path)).size).toBeLessThan(3000)
    expect(await withStore(async (store) => ({ all: store.range(''), revision: store.revision }))).toEqual(before)
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
        expect(store.range('').map((pair) => pair.key)).toEqual(['a'])
        await store.transact([], [put('c', 'new')])
      })
      await withStore(async (store) => {
        expect(store.range('').map((pair) => pair.key)).toEqual(['a', 'c'])
      })
    }
  })

  test('a last entry of zeroes (length written, data not) is cut', async () => {
    await withStore(async (store) => {
      await store.transact([], [put('a', '1')])
    })
    await appendFile(path, new Uint8Array(500))
    await withStore(async (store) => {
      expect(store.get('a')?.value).toBe('1')
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
      await expect(EmbeddedMetadata.open({ disk, path })).rejects.toMatchObject({ code: 'PAGELOG_CORRUPT' })
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
            store.watch('', 1, (events) => {
              for (const event of events) {
                if (event.type === 'put') mirror.set(event.key, event.value)
                else mirror.delete(event.key)
              }
            })
            await Promise.all(transactions.map((operations) => store.transact([], operations)))
            expect(new Map(store.range('').map((pair) => [pair.key, pair.value]))).toEqual(
              new Map([...mirror].sort(([a], [b]) => (a < b ? -1 : 1))),
            )
            return { all: store.range(''), revision: store.revision }
          },
          { compactAboveBytes: 400 },
        )
        const after = await withStore(async (store) => ({ all: store.range(''), revision: store.revision }))
        expect(after).toEqual(before)
      }),
      { numRuns: 60 },
    )
  })
})

describe('failures', () => {
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

  test('a full disk refuses the change and the next one may succeed', async () => {
    const how: { write?: Error } = { write: Object.assign(new Error('full'), { code: 'PAGELOG_DISK_FULL' }) }
    const { PagelogError } = await import('../../src/base/index.ts')
    how.write = new PagelogError('PAGELOG_DISK_FULL', 'full')
    await withStore(
      async (store) => {
        await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
        expect(store.get('a')).toBeUndefined()
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
    expect(await withStore(async (store) => [store.revision, store.get('key')?.value])).toEqual([102, 'very last'])
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
        expect(store.get('a')?.value).toBe('1')
      },
      { disk: failing(how) },
    )
  })

  test('a closed store refuses', async () => {
    const store = await EmbeddedMetadata.open({ disk, path })
    await store.close()
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
})
