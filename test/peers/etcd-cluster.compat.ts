/** What only a real etcd has: users and rights, TLS, members that die, stop or lose the others, a data directory lost. */
import { readFileSync } from 'node:fs'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { EtcdMetadata, type EtcdMetadataOptions } from '../../src/metadata/etcd.ts'
import { joinCluster } from '../../src/metadata/index.ts'
import { patience, Seen } from '../metadata/conformance.ts'
import { CuttingProxy } from '../metadata/cutting-proxy.ts'
import { put } from '../metadata/stores.ts'
import { makeCertificates } from './certificates.ts'
import { type EtcdOptions, TestEtcd } from './etcd.ts'
import { etcdProgram } from './etcd-program.ts'
import { etcdUsers } from './etcd-users.ts'

const { clock } = nodeEnv()
const undo: (() => unknown)[] = []
// It may have to be built first, which takes longer than a test may.
beforeAll(() => etcdProgram())
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function startEtcd(options?: EtcdOptions): Promise<TestEtcd> {
  const etcd = await TestEtcd.start(options)
  undo.push(() => etcd.close())
  return etcd
}

async function open(options: Omit<EtcdMetadataOptions, 'clock'>): Promise<EtcdMetadata> {
  const store = await EtcdMetadata.open({ clock, ...options })
  undo.push(() => store.close())
  return store
}

describe('users', () => {
  test('a user with rights below the root does everything there, and nothing beside it', async () => {
    const etcd = await startEtcd()
    await (await etcdUsers(etcd)).enable()
    const { endpoints } = etcd
    const store = await open({ endpoints, user: 'broker', password: 'word' })
    const seen = new Seen(store, '', (await store.range('')).revision + 1)
    const { id } = await store.grantLease(5000)
    await store.transact([], [put('a', '1', id)])
    expect(await store.keepAlive(id)).toBeGreaterThan(0)
    await store.revokeLease(id)
    await seen.saw('put a=1', 'delete a')
    const beside = EtcdMetadata.open({ clock, endpoints, user: 'broker', password: 'word', root: 'other/' })
    await expect(beside).rejects.toMatchObject({ code: 'PAGELOG_INVALID_SETTING' })
    await expect(beside).rejects.toThrow(/permission denied/)
  })

  test('without a user, or with a wrong password, it says so in one line', async () => {
    const etcd = await startEtcd()
    await (await etcdUsers(etcd)).enable()
    const refused = { code: 'PAGELOG_INVALID_SETTING' }
    const nobody = EtcdMetadata.open({ clock, endpoints: etcd.endpoints })
    await expect(nobody).rejects.toMatchObject(refused)
    await expect(nobody).rejects.toThrow(/wants a user and a password$/)
    const wrong = EtcdMetadata.open({ clock, endpoints: etcd.endpoints, user: 'broker', password: 'wrong' })
    await expect(wrong).rejects.toMatchObject(refused)
    await expect(wrong).rejects.toThrow(/^the metadata store refuses this user: [^\n]*$/)
  })

  test('a token that is void is replaced, for calls and for watches', async () => {
    const etcd = await startEtcd()
    const { enable, forgetTokens } = await etcdUsers(etcd)
    await enable()
    const proxy = await CuttingProxy.listen(etcd.endpoints[0]!)
    undo.push(() => proxy.close())
    const store = await open({ endpoints: [proxy.endpoint], user: 'broker', password: 'word' })
    const seen = new Seen(store, '', (await store.range('')).revision + 1)
    await store.transact([], [put('a', '1')])
    await seen.saw('put a=1')
    await forgetTokens()
    const { id } = await store.grantLease(5000)
    await forgetTokens()
    expect(await store.keepAlive(id)).toBeGreaterThan(0)
    await forgetTokens()
    expect((await store.transact([], [put('a', '2')])).succeeded).toBe(true)
    await forgetTokens()
    proxy.cut('/v3/watch')
    await store.transact([], [put('a', '3')])
    await vi.waitFor(() => expect(seen.groups.at(-1)).toBe('put a=3'), patience)
    expect(seen.groups).toEqual(['put a=1', 'put a=2', 'put a=3'])
  })

  test('a user where authentication is off is no hindrance', async () => {
    const etcd = await startEtcd()
    const store = await open({ endpoints: etcd.endpoints, user: 'broker', password: 'word' })
    expect((await store.transact([], [put('a', '1')])).succeeded).toBe(true)
  })
})

describe('TLS', () => {
  test('with certificates on both sides', async () => {
    const files = await makeCertificates()
    undo.push(() => files.remove())
    const { endpoints } = await startEtcd({ tls: files })
    const pem = (path: string): string => readFileSync(path, 'utf8')
    const ca = pem(files.ca)
    const client = { cert: pem(files.client.cert), key: pem(files.client.key) }
    const store = await open({ endpoints, tls: { ca, ...client } })
    const seen = new Seen(store, '', (await store.range('')).revision + 1)
    const { id } = await store.grantLease(5000)
    await store.transact([], [put('a', '1', id)])
    await store.revokeLease(id)
    await seen.saw('put a=1', 'delete a')
    for (const tls of [undefined, { ca }, client]) {
      const opening = EtcdMetadata.open({ clock, endpoints, ...(tls ? { tls } : {}) })
      await expect(opening).rejects.toThrow(/^[^\n]*$/)
      await expect(opening).rejects.toMatchObject({ code: expect.stringMatching(/UNREACHABLE|UNSUPPORTED/) })
    }
  })
})

describe('three members', () => {
  test('one that is killed is done without; its watch goes on at another', async () => {
    const etcd = await startEtcd({ members: 3 })
    const store = await open({ endpoints: etcd.endpoints })
    const { id } = await store.grantLease(30_000)
    const seen = new Seen(store, '', (await store.range('')).revision + 1)
    await store.transact([], [put('a', '0', id)])
    await seen.saw('put a=0')
    const expected = ['put a=0']
    for (const [i, member] of etcd.members.entries()) {
      await member.kill()
      // A reading finds out; what is written then has an outcome.
      await vi.waitFor(() => store.get('a'), patience)
      const value = String(i + 1)
      await vi.waitFor(async () => {
        const { pair } = await store.get('a')
        if (pair?.value !== value) await store.transact([], [put('a', value, id)])
      }, patience)
      expected.push(`put a=${value}`)
      await seen.saw(...expected)
      expect(await vi.waitFor(() => store.keepAlive(id), patience)).toBeGreaterThan(0)
      await member.startAgain()
    }
    expect(seen.losses).toEqual([])
  })

  test('one that is stopped is passed over, also by its watch', async () => {
    const etcd = await startEtcd({ members: 3 })
    const store = await open({ endpoints: etcd.endpoints, requestTimeoutMs: 1000, watchSilenceMs: 1000 })
    const seen = new Seen(store, '', (await store.range('')).revision + 1)
    const { pid } = etcd.members[0]!
    process.kill(pid, 'SIGSTOP')
    try {
      await vi.waitFor(() => store.get('a'), patience)
      await vi.waitFor(async () => {
        const { pair } = await store.get('a')
        if (pair === undefined) await store.transact([], [put('a', '1')])
      }, patience)
      await seen.saw('put a=1')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  })

  test('without a majority nothing is said to be done, and with it again everything goes on', async () => {
    const etcd = await startEtcd({ members: 3 })
    const store = await open({ endpoints: etcd.endpoints, requestTimeoutMs: 1000 })
    await store.transact([], [put('a', '0')])
    const seen = new Seen(store, '', (await store.range('')).revision + 1)
    await etcd.members[1]!.kill()
    await etcd.members[2]!.kill()
    const failed = { code: expect.stringMatching(/^PAGELOG_(METADATA_UNREACHABLE|OUTCOME_UNKNOWN)$/) }
    await expect(store.transact([], [put('a', '1')])).rejects.toMatchObject(failed)
    await expect(store.get('a')).rejects.toMatchObject({ code: 'PAGELOG_METADATA_UNREACHABLE' })
    await Promise.all([etcd.members[1]!.startAgain(), etcd.members[2]!.startAgain()])
    await vi.waitFor(() => store.get('a'), patience)
    await vi.waitFor(() => store.transact([], [put('b', '2')]), patience)
    // What had an unknown outcome may come or not; what has one comes.
    await vi.waitFor(() => expect(seen.groups.at(-1)).toBe('put b=2'), patience)
    expect(seen.losses).toEqual([])
  })
})

test('an etcd that lost its data is not taken for the one it was', async () => {
  const etcd = await startEtcd()
  const store = await open({ endpoints: etcd.endpoints })
  await joinCluster(store, 'the-cluster')
  for (let i = 0; i < 10; i++) await store.transact([], [put('a', String(i))])
  const seen = new Seen(store, '', (await store.range('')).revision + 1)
  const [member] = etcd.members
  await member!.kill()
  await member!.startAgain({ empty: true })
  await vi.waitFor(() => expect(seen.losses).toEqual(['went-back']), patience)
  expect(await joinCluster(store, undefined)).toBeUndefined()
})
