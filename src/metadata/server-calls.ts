/** What the metadata server answers to each path: the wire's words on one side, the store on the other. */
import { PagelogError, surfaceInvariant } from '../base/index.ts'
import type { EmbeddedMetadata } from './embedded.ts'
import { GRPC } from './etcd-errors.ts'
import {
  decodeCompare,
  decodeOperation,
  decodeText,
  encodePair,
  paths,
  prefixOf,
  type WireError,
  type WireHeader,
  type WireLeaseResponse,
  type WireLine,
  type WireRangeRequest,
  type WireRangeResponse,
  type WireTxnRequest,
  type WireTxnResponse,
} from './etcd-wire.ts'
import type { KeyValue } from './store.ts'

/** A request that is answered by an error. */
export class WireRefusal extends Error {
  override readonly name = 'WireRefusal'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

type Call = (served: Served, body: object) => Promise<object>

export const calls: Readonly<Record<string, Call>> = {
  [paths.range]: (served, body) => range(served, body),
  [paths.txn]: ({ store }, body) => transact(store, body),
  [paths.grant]: ({ store }, body) => grant(store, body),
  [paths.keepAlive]: ({ store }, body) => keepAlive(store, body),
  [paths.revoke]: ({ store }, body) => revoke(store, body),
}

interface Snapshot {
  readonly revision: number
  readonly end: string
  readonly pairs: readonly KeyValue[]
}

/** Readings that go on page by page; one that was begun before the last so many begins anew. */
const SNAPSHOTS_MAX = 8

/** A store with what is remembered between two calls. */
export class Served {
  readonly store: EmbeddedMetadata
  #snapshots: Snapshot[] = []

  constructor(store: EmbeddedMetadata) {
    this.store = store
  }

  keep(snapshot: Snapshot): void {
    this.#snapshots = [snapshot, ...this.#snapshots].slice(0, SNAPSHOTS_MAX)
  }

  snapshot(revision: number, end: string): Snapshot | undefined {
    return this.#snapshots.find((kept) => kept.revision === revision && kept.end === end)
  }
}

/** The version of etcd whose words these are. */
export const SERVED_VERSION = '3.6.0'

export function headerOf(revision: number): WireHeader {
  return { revision: String(revision) }
}

async function range(served: Served, request: WireRangeRequest): Promise<WireRangeResponse> {
  const { store } = served
  const { key = '', range_end: end, limit = '0', revision } = request
  if (end === undefined) {
    const found = await store.get(decodeText(key))
    const header = headerOf(found.revision)
    return { header, ...(found.pair ? { kvs: [encodePair(found.pair)], count: '1' } : {}) }
  }
  const { snapshot, first } =
    revision === undefined ? await begun(store, key, end) : goingOn(served, Number(revision), key, end)
  const left = snapshot.pairs.length - first
  const count = Number(limit) > 0 ? Math.min(left, Number(limit)) : left
  if (count < left && revision === undefined) served.keep(snapshot)
  return {
    header: headerOf(store.revision),
    kvs: snapshot.pairs.slice(first, first + count).map(encodePair),
    count: String(left),
    ...(count < left ? { more: true } : {}),
  }
}

async function begun(
  store: EmbeddedMetadata,
  key: string,
  end: string,
): Promise<{ snapshot: Snapshot; first: number }> {
  const prefix = prefixOf(key, end)
  if (prefix === undefined) throw new WireRefusal(GRPC.unimplemented, 'only ranges of a prefix are served')
  return { snapshot: { ...(await store.range(prefix)), end }, first: 0 }
}

/** The page behind the last key of the one before, which `key` is the next to. */
function goingOn(served: Served, revision: number, key: string, end: string): { snapshot: Snapshot; first: number } {
  const snapshot = served.snapshot(revision, end)
  if (!snapshot) throw new WireRefusal(GRPC.outOfRange, 'etcdserver: mvcc: required revision has been compacted')
  const from = decodeText(key)
  const first = snapshot.pairs.findIndex((pair) => pair.key >= from)
  return { snapshot, first: first < 0 ? snapshot.pairs.length : first }
}

async function transact(store: EmbeddedMetadata, request: WireTxnRequest): Promise<WireTxnResponse> {
  const compare = (request.compare ?? []).map(decodeCompare)
  const operations = (request.success ?? []).map(decodeOperation)
  if (compare.includes(undefined) || operations.includes(undefined)) {
    throw new WireRefusal(GRPC.unimplemented, 'a comparison or an operation that is not served')
  }
  const result = await store.transact(compare.filter(known), operations.filter(known))
  return { header: headerOf(result.revision), succeeded: result.succeeded }
}

function known<T>(value: T | undefined): value is T {
  return value !== undefined
}

async function grant(store: EmbeddedMetadata, { TTL = '0' }: { TTL?: string }): Promise<WireLeaseResponse> {
  const { id, ttlMs } = await store.grantLease(1000 * Number(TTL))
  return { header: headerOf(store.revision), ID: id, TTL: String(ttlMs / 1000) }
}

/** A lease that is gone has no time left, and is no error here. */
async function keepAlive(store: EmbeddedMetadata, { ID = '0' }: { ID?: string }): Promise<WireLine<WireLeaseResponse>> {
  const header = headerOf(store.revision)
  try {
    const ttlMs = await store.keepAlive(ID)
    return { result: { header, ID, TTL: String(ttlMs / 1000) } }
  } catch (error) {
    if (error instanceof PagelogError && error.code === 'PAGELOG_LEASE_LOST') return { result: { header, ID } }
    throw error
  }
}

async function revoke(store: EmbeddedMetadata, { ID = '0' }: { ID?: string }): Promise<{ header: WireHeader }> {
  await store.revokeLease(ID)
  return { header: headerOf(store.revision) }
}

/** As etcd would say it. */
export function wireError(error: unknown): { readonly status: number; readonly body: WireError } {
  const { code, message } = wordsFor(error)
  return { status: statusOf[code] ?? 500, body: { code, message } }
}

function wordsFor(error: unknown): { code: number; message: string } {
  if (error instanceof WireRefusal) return { code: error.code, message: error.message }
  surfaceInvariant(error)
  if (!(error instanceof PagelogError)) return { code: GRPC.invalidArgument, message: 'the request cannot be read' }
  const { code, message } = error
  if (code === 'PAGELOG_LEASE_LOST') return { code: GRPC.notFound, message: 'etcdserver: requested lease not found' }
  if (code === 'PAGELOG_DISK_FULL') {
    return { code: GRPC.resourceExhausted, message: 'etcdserver: mvcc: database space exceeded' }
  }
  if (code === 'PAGELOG_TOO_LARGE') {
    return { code: GRPC.invalidArgument, message: 'etcdserver: request is too large' }
  }
  if (code === 'PAGELOG_INVALID_ARGUMENT') return { code: GRPC.invalidArgument, message }
  return { code: GRPC.unavailable, message }
}

const statusOf: Readonly<Record<number, number>> = {
  [GRPC.invalidArgument]: 400,
  [GRPC.notFound]: 404,
  [GRPC.resourceExhausted]: 429,
  [GRPC.outOfRange]: 400,
  [GRPC.unimplemented]: 501,
  [GRPC.unavailable]: 503,
}
