/**
 * What every metadata store must do when a network lies between: outcomes that stay unknown, other endpoints, watches
 * that go on where they were cut. A proxy of ours is the network.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { ClusterImage, createTopic, deleteTopic, type Endpoint, type MetadataStore } from '../../src/metadata/index.ts'
import { patience, Seen } from './conformance.ts'
import { CuttingProxy } from './cutting-proxy.ts'
import { put, type StoreUnderTest } from './stores.ts'

const TXN = '/v3/kv/txn'
const RANGE = '/v3/kv/range'
const WATCH = '/v3/watch'
const unknown = { code: 'PAGELOG_OUTCOME_UNKNOWN' }
const unreachable = { code: 'PAGELOG_METADATA_UNREACHABLE' }

interface Bench {
  readonly under: StoreUnderTest
  readonly proxy: CuttingProxy
  /** Past the proxy. */
  readonly direct: MetadataStore
  /** Through it. */
  readonly store: MetadataStore
  connect(endpoints: readonly Endpoint[], options?: object): Promise<MetadataStore>
}

export function remoteConformance(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`${name}: remote metadata store`, () => {
    let bench: Bench
    beforeEach(async () => {
      const under = await create()
      const proxy = await CuttingProxy.listen(under.endpoint!)
      const connect: Bench['connect'] = (endpoints, options) => under.connect!(endpoints, options)
      bench = { under, proxy, direct: under.store, store: await connect([proxy.endpoint]), connect }
    })
    afterEach(async () => {
      await bench.proxy.close()
      await bench.under.close()
    })
    outcomes(() => bench)
    largeTopics(() => bench)
    endpoints(() => bench)
    cutWatches(() => bench)
    images(() => bench)
  })
}

function outcomes(bench: () => Bench): void {
  test('a transaction whose answer is lost has an unknown outcome, and here it was made', async () => {
    const { proxy, store, direct } = bench()
    proxy.fateOf = (path) => (path === TXN ? 'lose' : 'pass')
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject(unknown)
    expect((await direct.get('a')).pair).toMatchObject({ value: '1', version: 1 })
  })

  test('a transaction that is never answered has an unknown outcome after a time', async () => {
    const { proxy, direct, connect } = bench()
    const store = await connect([proxy.endpoint], { requestTimeoutMs: 300 })
    proxy.fateOf = (path) => (path === TXN ? 'keep' : 'pass')
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject(unknown)
    expect((await direct.get('a')).pair).toMatchObject({ value: '1', version: 1 })
  })

  test('an answer that is late is an answer, and one that is too late is none for anybody', async () => {
    const { proxy, connect } = bench()
    const patient = await connect([proxy.endpoint], { requestTimeoutMs: 15_000 })
    const hasty = await connect([proxy.endpoint], { requestTimeoutMs: 300 })
    proxy.lateMs = 600
    proxy.fateOf = (path) => (path === TXN ? 'late' : 'pass')
    const late = patient.transact([], [put('a', '1')])
    await expect(hasty.transact([], [put('b', '1')])).rejects.toMatchObject(unknown)
    expect((await late).succeeded).toBe(true)
    proxy.fateOf = () => 'pass'
    // What comes after it has an answer of its own.
    expect((await hasty.get('b')).pair).toMatchObject({ value: '1', version: 1 })
    expect((await hasty.transact([], [put('b', '2')])).succeeded).toBe(true)
  })

  test('a transaction that cannot be sent was not made, and may be made again', async () => {
    const { proxy, store, direct } = bench()
    await proxy.refuse()
    // A connection of ours that was cut may not be known to be: what it is given has an unknown outcome.
    await expect(store.get('a')).rejects.toMatchObject(unreachable)
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject({ ...unreachable, retriable: true })
    expect((await direct.get('a')).pair).toBeUndefined()
    await proxy.accept()
    expect((await store.transact([], [put('a', '1')])).succeeded).toBe(true)
  })

  test('a reading or a keep-alive that is not answered is no more than that', async () => {
    const { proxy, connect } = bench()
    const store = await connect([proxy.endpoint], { requestTimeoutMs: 300 })
    const { id } = await store.grantLease(60_000)
    proxy.fateOf = () => 'keep'
    await expect(store.get('a')).rejects.toMatchObject(unreachable)
    await expect(store.keepAlive(id)).rejects.toMatchObject(unreachable)
    proxy.fateOf = () => 'lose'
    await expect(store.range('')).rejects.toMatchObject(unreachable)
    proxy.fateOf = () => 'pass'
    expect(await store.keepAlive(id)).toBeGreaterThan(0)
  })

  test('a keep-alive does not wait behind calls that are not answered', async () => {
    const { proxy, connect } = bench()
    const store = await connect([proxy.endpoint], { requestTimeoutMs: 10_000 })
    const { id } = await store.grantLease(60_000)
    proxy.fateOf = (path) => (path === RANGE ? 'keep' : 'pass')
    const stuck = Promise.allSettled(Array.from({ length: 30 }, () => store.get('a')))
    await vi.waitFor(() => expect(proxy.seen.filter((path) => path === RANGE).length).toBeGreaterThan(8), patience)
    expect(await store.keepAlive(id)).toBeGreaterThan(0)
    await store.close()
    await stuck
  })

  test('a topic whose creation was not answered is known by its id to be there', async () => {
    const { proxy, store } = bench()
    let lost = 0
    proxy.fateOf = (path) => (path === TXN && lost++ === 0 ? 'lose' : 'pass')
    const topic = { name: 't', id: 'id of t', assignments: [[1]], configs: {} }
    const revision = await createTopic(store, topic)
    expect(revision).toBe((await store.range('')).revision)
    expect(await createTopic(store, { ...topic, id: 'another' })).toBeUndefined()
    lost = 0
    expect(await deleteTopic(store, 't', 'id of t')).toBe(revision! + 1)
  })
}

function largeTopics(bench: () => Bench): void {
  test('a large topic whose last answer is lost stays whole, even when nothing tells that it is there', async () => {
    const { proxy, store, direct } = bench()
    const assignments = Array.from({ length: 200 }, () => [1])
    let transactions = 0
    let isLost = false
    proxy.fateOf = (path) => {
      if (path === TXN && ++transactions === 4) isLost = true
      // Of the transaction that makes it visible and of the look that follows, no answer comes.
      return isLost && (path === TXN || path === RANGE) ? 'lose' : 'pass'
    }
    const creation = createTopic(store, { name: 't', id: 'id of t', assignments, configs: {} })
    await expect(creation).rejects.toMatchObject(unknown)
    expect((await direct.get('topics/t')).pair).toBeDefined()
    expect((await direct.range('partitions/id of t/')).pairs).toHaveLength(200)
    expect((await direct.range('creating/')).pairs).toEqual([])
  })
}

function endpoints(bench: () => Bench): void {
  test('an endpoint that is not there is passed over', async () => {
    const { proxy, under, connect } = bench()
    await proxy.refuse()
    const store = await connect([proxy.endpoint, under.endpoint!])
    expect((await store.transact([], [put('a', '1')])).succeeded).toBe(true)
  })

  test('one that goes is replaced by another, for readings even within a call', async () => {
    const { proxy, under, connect } = bench()
    const store = await connect([proxy.endpoint, under.endpoint!], { requestTimeoutMs: 500 })
    await store.transact([], [put('a', '1')])
    proxy.fateOf = () => 'keep'
    expect((await store.get('a')).pair?.value).toBe('1')
    await proxy.refuse()
    expect((await store.transact([], [put('a', '2')])).succeeded).toBe(true)
  })

  test('when none answers, the error names them all', async () => {
    const { proxy, connect } = bench()
    const other = await CuttingProxy.listen(proxy.endpoint)
    await other.refuse()
    await proxy.refuse()
    const opening = connect([proxy.endpoint, other.endpoint])
    await expect(opening).rejects.toMatchObject(unreachable)
    const ports = [proxy, other].map(({ endpoint }) => `127.0.0.1:${endpoint.port}`)
    await expect(opening).rejects.toThrow(new RegExp(`^[^\\n]*${ports.join('[^\\n]*')}[^\\n]*$`))
  })

  test('a store that was closed refuses, and what was under way ends', async () => {
    const { proxy, connect } = bench()
    const store = await connect([proxy.endpoint])
    proxy.fateOf = (path) => (path === RANGE ? 'keep' : 'pass')
    const before = proxy.seen.length
    const pending = expect(store.get('a')).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    await vi.waitFor(() => expect(proxy.seen.slice(before)).toEqual([RANGE]), patience)
    await store.close()
    await pending
    await expect(store.transact([], [])).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
  })
}

function cutWatches(bench: () => Bench): void {
  test('a watch that is cut goes on where it was, with nothing missing and nothing twice', async () => {
    const { proxy, store, direct } = bench()
    const seen = new Seen(store, 'w', (await direct.range('')).revision + 1)
    const expected: string[] = []
    for (let i = 0; i < 12; i++) {
      await direct.transact([], [put('w', String(i))])
      expected.push(`put w=${i}`)
      if (i % 4 === 1) await vi.waitFor(() => expect(proxy.cut(WATCH)).toBeGreaterThan(0), patience)
      if (i % 4 === 3) await seen.saw(...expected)
    }
    expect(seen.resumptions).toBeGreaterThan(0)
    expect(seen.losses).toEqual([])
  })

  test('a watch that is silent is opened anew', async () => {
    const { proxy, direct, connect } = bench()
    const store = await connect([proxy.endpoint], { watchSilenceMs: 300 })
    let watches = 0
    proxy.fateOf = (path) => (path === WATCH && watches++ === 0 ? 'keep' : 'pass')
    const { revision } = await direct.range('')
    const seen = new Seen(store, 'w', revision + 1)
    await vi.waitFor(() => expect(watches).toBe(1), patience)
    await direct.transact([], [put('w', '1')])
    await seen.saw('put w=1')
    expect(watches).toBeGreaterThan(1)
  })

  test('a watch at a member that answers nothing goes on at another as soon as a call finds that', async () => {
    const { proxy, direct, connect } = bench()
    const hung = await CuttingProxy.listen(proxy.endpoint)
    const store = await connect([hung.endpoint, proxy.endpoint], { requestTimeoutMs: 500 })
    const seen = new Seen(store, 'w', (await direct.range('')).revision + 1)
    await direct.transact([], [put('w', '1')])
    await seen.saw('put w=1')
    // As a host that lost its power: its connections are neither answered nor ended.
    hung.hang()
    await direct.transact([], [put('w', '2')])
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject(unknown)
    await seen.saw('put w=1', 'put w=2')
    await hung.close()
  })

  test('a watch whose revisions were forgotten while it was cut is lost', async () => {
    const { proxy, under, direct, connect } = bench()
    const store = await connect([proxy.endpoint])
    const seen = new Seen(store, 'w', (await direct.range('')).revision + 1)
    await direct.transact([], [put('w', '1')])
    await seen.saw('put w=1')
    await proxy.refuse()
    await direct.transact([], [put('w', '2')])
    await under.compact()
    await proxy.accept()
    await vi.waitFor(() => expect(seen.losses).toEqual(['compacted']), patience)
    expect(seen.groups).toEqual(['put w=1'])
  })

  test('a watch waits for a server that is not there yet', async () => {
    const { proxy, store, direct } = bench()
    await proxy.refuse()
    const { revision } = await direct.range('')
    const seen = new Seen(store, 'w', revision + 1)
    await direct.transact([], [put('w', '1')])
    await proxy.accept()
    await seen.saw('put w=1')
  })
}

function images(bench: () => Bench): void {
  const topic = (name: string) => ({ name, id: `id of ${name}`, assignments: [[1], [1]], configs: {} })

  test('an image that missed what was forgotten meanwhile reads everything again, and tells what went', async () => {
    const { proxy, under, direct, store } = bench()
    for (const name of ['kept', 'changed', 'gone']) await createTopic(direct, topic(name))
    const image = await ClusterImage.open(store, nodeEnv())
    const touched = new Set<string>()
    image.onChange((change) => {
      for (const name of change.topics) touched.add(name)
    })
    await proxy.refuse()
    await deleteTopic(direct, 'gone', 'id of gone')
    await direct.transact(
      [],
      [put('partitions/id of changed/1', JSON.stringify({ leader: 2, leaderEpoch: 1, replicas: [1, 2], isr: [2] }))],
    )
    const last = await createTopic(direct, topic('new'))
    await under.compact()
    await proxy.accept()
    await image.reached(last!)
    expect([...touched].sort()).toEqual(['changed', 'gone', 'new'])
    expect(image.topics().map(({ name }) => name)).toEqual(['changed', 'kept', 'new'])
    expect(image.partition('id of changed', 1)).toMatchObject({ leader: 2, isr: [2] })
    await createTopic(direct, topic('later'))
    await vi.waitFor(() => expect(image.topic('later')).toBeDefined(), patience)
    image.close()
  })

  test('an image waits for a revision that was written elsewhere', async () => {
    const { direct, store } = bench()
    const image = await ClusterImage.open(store, nodeEnv())
    for (let i = 0; i < 5; i++) {
      await image.reached((await createTopic(direct, topic(`t${i}`)))!)
      expect(image.topic(`t${i}`)?.partitions).toHaveLength(2)
    }
    const waiting = expect(image.reached(image.revision + 1)).rejects.toMatchObject({ code: 'PAGELOG_CLOSED' })
    image.close()
    await waiting
  })
}
