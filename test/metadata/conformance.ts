/**
 * What every metadata engine must do, as one suite over a way to make a store: transactions, ranges, watches, leases.
 * `remote-conformance.ts` has what comes to it where a network lies between.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { KeyValue, MetadataEvent, MetadataStore, WatchLoss } from '../../src/metadata/index.ts'
import { put, type StoreUnderTest } from './stores.ts'

/** Conditions are waited for this long: nothing here takes it, unless the machine is very busy. */
export const patience = { timeout: 15_000, interval: 20 }

/** Records what a watch tells. */
export class Seen {
  readonly events: MetadataEvent[] = []
  readonly groups: string[] = []
  readonly losses: WatchLoss[] = []
  readonly unwatch: () => void
  progress = 0
  resumptions = 0

  constructor(store: MetadataStore, prefix: string, fromRevision: number) {
    this.unwatch = store.watch(prefix, fromRevision, {
      changed: (events, revision) => {
        expect(events.every((event) => event.revision === revision)).toBe(true)
        this.events.push(...events)
        this.groups.push(events.map(({ type, key, value }) => `${type} ${key}${value && `=${value}`}`).join(', '))
      },
      progressed: (revision) => {
        this.progress = revision
      },
      resumed: () => {
        this.resumptions++
      },
      lost: (reason) => this.losses.push(reason),
    })
  }

  async saw(...groups: string[]): Promise<void> {
    await vi.waitFor(() => expect(this.groups).toEqual(groups), patience)
  }
}

export function conformance(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`${name}: metadata store`, () => {
    let under: StoreUnderTest
    let store: MetadataStore
    beforeEach(async () => {
      under = await create()
      store = under.store
    })
    afterEach(() => under.close())
    const current = (): MetadataStore => store
    transactions(current)
    ranges(current)
    watches(current, () => under)
    leases(current, () => under)
  })
}

const pairOf = async (store: MetadataStore, key: string): Promise<KeyValue | undefined> => (await store.get(key)).pair

function transactions(current: () => MetadataStore): void {
  test('a key has create and mod revision and a version, and starts again after deletion', async () => {
    const store = current()
    const first = (await store.transact([], [put('a', '1')])).revision
    const second = (await store.transact([], [put('a', '2')])).revision
    expect(second).toBe(first + 1)
    expect(await store.get('a')).toEqual({
      pair: { key: 'a', value: '2', createRevision: first, modRevision: second, version: 2 },
      revision: second,
    })
    await store.transact([], [{ type: 'delete', key: 'a' }])
    expect(await store.get('a')).toEqual({ pair: undefined, revision: second + 1 })
    await store.transact([], [put('a', '3')])
    expect(await pairOf(store, 'a')).toMatchObject({ createRevision: first + 3, modRevision: first + 3, version: 1 })
  })

  test('create-if-absent lets one of many win', async () => {
    const store = current()
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        store.transact([{ key: 'leader', field: 'createRevision', equals: 0 }], [put('leader', String(i))]),
      ),
    )
    const winners = results.flatMap(({ succeeded }, i) => (succeeded ? [String(i)] : []))
    expect(winners).toEqual([(await pairOf(store, 'leader'))!.value])
  })

  test('increments by compare-and-set are never lost', async () => {
    const store = current()
    const increment = async (): Promise<void> => {
      for (;;) {
        const pair = await pairOf(store, 'n')
        const compare = { key: 'n', field: 'modRevision', equals: pair?.modRevision ?? 0 } as const
        const { succeeded } = await store.transact([compare], [put('n', String(Number(pair?.value ?? 0) + 1))])
        if (succeeded) return
      }
    }
    await Promise.all(Array.from({ length: 12 }, increment))
    expect((await pairOf(store, 'n'))?.value).toBe('12')
  })

  test('a failed comparison changes nothing and tells the revision', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const refused = await store.transact([{ key: 'a', field: 'value', equals: '2' }], [put('b', 'x')])
    expect(refused).toEqual({ succeeded: false, revision })
    expect(await pairOf(store, 'b')).toBeUndefined()
  })

  test('every field can be compared, and a key that is not there has revision and version 0 and no value', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const holds = async (key: string, field: 'createRevision' | 'modRevision' | 'version', equals: number) =>
      (await store.transact([{ key, field, equals }], [])).succeeded
    for (const field of ['createRevision', 'modRevision', 'version'] as const) {
      expect(await holds('a', field, field === 'version' ? 1 : revision)).toBe(true)
      expect(await holds('a', field, 0)).toBe(false)
      expect(await holds('none', field, 0)).toBe(true)
      expect(await holds('none', field, 1)).toBe(false)
    }
    const hasValue = async (key: string, equals: string) =>
      (await store.transact([{ key, field: 'value', equals }], [])).succeeded
    expect(await hasValue('a', '1')).toBe(true)
    expect(await hasValue('none', '')).toBe(false)
    await store.transact([], [put('empty', '')])
    expect(await hasValue('empty', '')).toBe(true)
    const both = [
      { key: 'a', field: 'version', equals: 1 },
      { key: 'none', field: 'version', equals: 1 },
    ] as const
    expect((await store.transact(both, [])).succeeded).toBe(false)
  })

  test('all operations of a transaction share a revision', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('p/2', 'y'), put('p/1', 'x'), put('q', 'z')])
    const { pairs } = await store.range('p/')
    expect(pairs.map((pair) => [pair.key, pair.createRevision, pair.modRevision])).toEqual([
      ['p/1', revision, revision],
      ['p/2', revision, revision],
    ])
  })

  test('deleting what is not there is no change', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const nothing = [
      { type: 'delete', key: 'b' },
      { type: 'deletePrefix', prefix: 'b/' },
    ] as const
    expect(await store.transact([], nothing)).toEqual({ succeeded: true, revision })
  })

  test('a prefix is deleted with all that begins with it and nothing else', async () => {
    const store = current()
    await store.transact([], [put('p/', '0'), put('p/1', '1'), put('p/1/2', '2'), put('p', '3'), put('p0', '4')])
    await store.transact(
      [],
      [
        { type: 'deletePrefix', prefix: 'p/' },
        { type: 'delete', key: 'p/1' },
      ],
    )
    expect((await store.range('')).pairs.map((pair) => pair.key)).toEqual(['p', 'p0'])
  })

  test('keys and values are any text', async () => {
    const store = current()
    const values = ['', 'ä€😀', '\0\n"\\', 'x'.repeat(200_000)]
    for (const [i, value] of values.entries()) await store.transact([], [put(`k/ö ${i}`, value)])
    expect((await store.range('k/ö')).pairs.map((pair) => pair.value)).toEqual(values)
  })

  test('what etcd refuses every engine refuses, and changes nothing', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const many = Array.from({ length: 129 }, (_, i) => put(`k${i}`, ''))
    const wrong = { code: 'PAGELOG_INVALID_ARGUMENT' }
    await expect(store.transact([], many)).rejects.toMatchObject(wrong)
    const twice = [put('b', '1'), put('b', '2')]
    await expect(store.transact([], twice)).rejects.toMatchObject(wrong)
    const gone = [put('b', '1'), { type: 'delete', key: 'b' }] as const
    await expect(store.transact([], gone)).rejects.toMatchObject(wrong)
    const below = [put('b/1', '1'), { type: 'deletePrefix', prefix: 'b/' }] as const
    await expect(store.transact([], below)).rejects.toMatchObject(wrong)
    const large = [put('b', 'x'.repeat(2_000_000))]
    await expect(store.transact([], large)).rejects.toMatchObject({ code: 'PAGELOG_TOO_LARGE' })
    expect(await store.get('b')).toEqual({ pair: undefined, revision })
    const most = Array.from({ length: 128 }, (_, i) => put(`k${i}`, ''))
    expect((await store.transact([], most)).succeeded).toBe(true)
  })
}

function ranges(current: () => MetadataStore): void {
  test('a range is everything as it was at one revision, whatever is written meanwhile', async () => {
    const store = current()
    const groups = 6
    const write = (group: number, value: number): Promise<{ revision: number }> =>
      store.transact(
        [],
        Array.from({ length: 100 }, (_, i) => put(`g${group}/${i}`, `${value}`)),
      )
    for (let group = 0; group < groups; group++) await write(group, 0)
    let last = 0
    const writing = (async () => {
      for (let value = 1; value <= 12; value++) last = (await write(value % groups, value)).revision
    })()
    for (let i = 0; i < 4; i++) {
      const { pairs, revision } = await store.range('g')
      expect(pairs).toHaveLength(100 * groups)
      const states = new Set(pairs.map(({ key, value, modRevision }) => `${key.split('/')[0]} ${value} ${modRevision}`))
      expect(states.size).toBe(groups)
      expect(pairs.every((pair) => pair.modRevision <= revision)).toBe(true)
    }
    await writing
    const { pairs, revision } = await store.range('g')
    expect(revision).toBe(last)
    expect(pairs.map((pair) => pair.key)).toEqual(pairs.map((pair) => pair.key).sort())
  })

  test('an empty range has a revision too', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    expect(await store.range('none')).toEqual({ pairs: [], revision })
  })
}

function watches(current: () => MetadataStore, under: () => StoreUnderTest): void {
  test('a watch tells changes below its prefix, those of one revision together', async () => {
    const store = current()
    const { revision } = await store.range('')
    const seen = new Seen(store, 'p/', revision + 1)
    await store.transact([], [put('p/2', 'x'), put('p/1', 'y'), put('q', 'z')])
    await store.transact([], [put('q', 'w')])
    await store.transact([], [{ type: 'delete', key: 'p/1' }])
    await store.transact([], [put('p/1', 'new'), { type: 'deletePrefix', prefix: 'p/2' }])
    await seen.saw('put p/2=x, put p/1=y', 'delete p/1', 'put p/1=new, delete p/2')
    expect(seen.events.map((event) => [event.revision - revision, event.createRevision])).toEqual([
      [1, revision + 1],
      [1, revision + 1],
      [3, 0],
      [4, revision + 4],
      [4, 0],
    ])
  })

  test('a watch from the past tells the past first', async () => {
    const store = current()
    for (let i = 1; i <= 5; i++) await store.transact([], [put('a', String(i))])
    const { revision } = await store.get('a')
    const seen = new Seen(store, '', revision - 2)
    await store.transact([], [put('a', '6')])
    await seen.saw('put a=3', 'put a=4', 'put a=5', 'put a=6')
  })

  test('a watch tells nothing before it was returned, and nothing after it was ended', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const early: string[] = []
    const unwatch = store.watch('', revision, { changed: () => early.push('changed'), lost: () => early.push('lost') })
    expect(early).toEqual([])
    unwatch()
    const other = new Seen(store, '', revision)
    await store.transact([], [put('a', '2')])
    await other.saw('put a=1', 'put a=2')
    expect(early).toEqual([])
  })

  test('a watch from a revision that is forgotten is lost, and says nothing more', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    await under().compact()
    const seen = new Seen(store, '', revision)
    await vi.waitFor(() => expect(seen.losses).toEqual(['compacted']), patience)
    const live = new Seen(store, '', (await store.range('')).revision + 1)
    await store.transact([], [put('a', '2')])
    await live.saw('put a=2')
    expect(seen.groups).toEqual([])
    expect(seen.losses).toEqual(['compacted'])
  })

  test('a watch from beyond the next revision is of a store that went back', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const seen = new Seen(store, '', revision + 100)
    await vi.waitFor(() => expect(seen.losses).toEqual(['went-back']), patience)
  })

  test('a watch whose prefix is quiet learns how far the store is', async () => {
    const store = current()
    const { revision } = await store.transact([], [put('a', '1')])
    const seen = new Seen(store, 'quiet/', revision + 1)
    const last = (await store.transact([], [put('a', '2')])).revision
    await vi.waitFor(() => expect(seen.progress).toBeGreaterThanOrEqual(last), patience)
    expect(seen.groups).toEqual([])
  })

  test('many watches see all of many changes, each once and in order', async () => {
    const store = current()
    const { revision } = await store.range('')
    const watchers = Array.from({ length: 5 }, () => new Seen(store, 'w/', revision + 1))
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; i < 15; i++) await store.transact([], [put(`w/${writer}`, String(i)), put('x', '')])
    })
    await Promise.all(writers)
    for (const { groups, events } of watchers) {
      await vi.waitFor(() => expect(groups).toHaveLength(60), patience)
      expect(events.map((event) => event.revision)).toEqual(Array.from({ length: 60 }, (_, i) => revision + 1 + i))
      for (let writer = 0; writer < 4; writer++) {
        const values = events.filter((event) => event.key === `w/${writer}`).map((event) => Number(event.value))
        expect(values).toEqual(Array.from({ length: 15 }, (_, i) => i))
      }
    }
  })
}

function leases(current: () => MetadataStore, under: () => StoreUnderTest): void {
  const gone = { code: 'PAGELOG_LEASE_LOST' }

  test('keys of a lease that nobody keeps alive go together', async () => {
    const store = current()
    const lease = await store.grantLease(2000)
    expect(lease.ttlMs).toBeGreaterThanOrEqual(2000)
    await store.transact([], [put('l/1', 'x', lease.id), put('l/2', 'y', lease.id), put('l/3', 'z')])
    expect(await pairOf(store, 'l/1')).toMatchObject({ lease: lease.id })
    const seen = new Seen(store, 'l/', (await store.range('')).revision + 1)
    await under().pass(lease.ttlMs)
    await seen.saw('delete l/1, delete l/2')
    expect((await store.range('l/')).pairs.map((pair) => pair.key)).toEqual(['l/3'])
    await expect(store.keepAlive(lease.id)).rejects.toMatchObject(gone)
  })

  test('a lease that is kept alive lives on, and ends when it is no longer', async () => {
    const store = current()
    const lease = await store.grantLease(6000)
    await store.transact([], [put('l', 'x', lease.id)])
    for (let i = 0; i < 5; i++) {
      await under().pass(1500)
      const leftMs = await store.keepAlive(lease.id)
      expect(leftMs).toBeGreaterThan(0)
      expect(leftMs).toBeLessThanOrEqual(lease.ttlMs)
    }
    expect(await pairOf(store, 'l')).toBeDefined()
    await under().pass(lease.ttlMs)
    await vi.waitFor(async () => expect(await pairOf(store, 'l')).toBeUndefined(), patience)
  })

  test('a lease that is revoked takes its keys along at once; again is no error', async () => {
    const store = current()
    const lease = await store.grantLease(60_000)
    const other = await store.grantLease(60_000)
    const { revision } = await store.transact(
      [],
      [put('b', '', lease.id), put('a', '', lease.id), put('c', '', other.id)],
    )
    await store.revokeLease(lease.id)
    expect(await store.range('')).toMatchObject({ pairs: [{ key: 'c' }], revision: revision + 1 })
    await store.revokeLease(lease.id)
    expect((await store.range('')).revision).toBe(revision + 1)
    await expect(store.keepAlive(lease.id)).rejects.toMatchObject(gone)
    expect(await store.keepAlive(other.id)).toBeGreaterThan(0)
  })

  test('nothing can be put on a lease that is gone, and nothing is put then', async () => {
    const store = current()
    const lease = await store.grantLease(60_000)
    await store.revokeLease(lease.id)
    await expect(store.transact([], [put('a', '1'), put('b', '1', lease.id)])).rejects.toMatchObject(gone)
    expect((await store.range('')).pairs).toEqual([])
  })

  test('a key that is put again without its lease, or with another, leaves it', async () => {
    const store = current()
    const [first, second] = [await store.grantLease(60_000), await store.grantLease(60_000)]
    await store.transact([], [put('a', '', first.id), put('b', '', first.id), put('c', '', first.id)])
    await store.transact([], [put('a', ''), put('b', '', second.id)])
    await store.revokeLease(first.id)
    expect((await store.range('')).pairs.map((pair) => pair.key)).toEqual(['a', 'b'])
    await store.revokeLease(second.id)
    expect((await store.range('')).pairs.map((pair) => pair.key)).toEqual(['a'])
  })

  test('a key that comes again after its lease is another one to whoever compares its create revision', async () => {
    const store = current()
    const register = async (): Promise<{ id: string; epoch: number }> => {
      const { id } = await store.grantLease(60_000)
      const absent = { key: 'broker', field: 'createRevision', equals: 0 } as const
      return { id, epoch: (await store.transact([absent], [put('broker', 'same', id)])).revision }
    }
    const first = await register()
    await store.revokeLease(first.id)
    const second = await register()
    const as = (epoch: number) =>
      store.transact([{ key: 'broker', field: 'createRevision', equals: epoch }], [put('isr', String(epoch))])
    expect((await as(first.epoch)).succeeded).toBe(false)
    expect((await as(second.epoch)).succeeded).toBe(true)
  })

  test('an empty lease ends without a change', async () => {
    const store = current()
    const lease = await store.grantLease(60_000)
    const { revision } = await store.range('')
    await store.revokeLease(lease.id)
    expect((await store.range('')).revision).toBe(revision)
  })
}
