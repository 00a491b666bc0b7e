/**
 * The part of etcd's JSON gateway that both ends of ours speak: keys and values in base64, 64-bit numbers as text, fields
 * that are zero or empty left out.
 */
import type { Compare, KeyValue, MetadataEvent, Operation } from './store.ts'

export interface WireHeader {
  readonly cluster_id?: string
  readonly revision?: string
}

export interface WireKeyValue {
  readonly key?: string
  readonly value?: string
  readonly create_revision?: string
  readonly mod_revision?: string
  readonly version?: string
  readonly lease?: string
}

export interface WireRangeRequest {
  readonly key?: string
  readonly range_end?: string
  readonly limit?: string
  readonly revision?: string
  readonly keys_only?: boolean
}

export interface WireRangeResponse {
  readonly header?: WireHeader
  readonly kvs?: readonly WireKeyValue[]
  readonly more?: boolean
  readonly count?: string
}

export interface WireCompare {
  readonly target?: 'VERSION' | 'CREATE' | 'MOD' | 'VALUE'
  readonly result?: 'EQUAL'
  readonly key?: string
  readonly version?: string
  readonly create_revision?: string
  readonly mod_revision?: string
  readonly value?: string
}

export interface WireOperation {
  readonly request_put?: { readonly key?: string; readonly value?: string; readonly lease?: string }
  readonly request_delete_range?: { readonly key?: string; readonly range_end?: string }
}

export interface WireTxnRequest {
  readonly compare?: readonly WireCompare[]
  readonly success?: readonly WireOperation[]
}

export interface WireTxnResponse {
  readonly header?: WireHeader
  readonly succeeded?: boolean
}

export interface WireEvent {
  readonly type?: 'PUT' | 'DELETE'
  readonly kv?: WireKeyValue
}

export interface WireWatchRequest {
  readonly create_request?: {
    readonly key?: string
    readonly range_end?: string
    readonly start_revision?: string
    readonly progress_notify?: boolean
  }
}

export interface WireWatchResponse {
  readonly header?: WireHeader
  readonly created?: boolean
  readonly canceled?: boolean
  readonly compact_revision?: string
  readonly cancel_reason?: string
  readonly events?: readonly WireEvent[]
}

export interface WireLeaseResponse {
  readonly header?: WireHeader
  readonly ID?: string
  /** Seconds. */
  readonly TTL?: string
}

/** As a call fails; etcd 3.5 also has `error`, with the same text as `message`, and in streams `grpc_code`. */
export interface WireError {
  readonly code?: number
  readonly grpc_code?: number
  readonly message?: string
}

/** A line of a streaming answer. */
export interface WireLine<T> {
  readonly result?: T
  readonly error?: WireError
}

export const paths = {
  version: '/version',
  range: '/v3/kv/range',
  txn: '/v3/kv/txn',
  watch: '/v3/watch',
  grant: '/v3/lease/grant',
  keepAlive: '/v3/lease/keepalive',
  revoke: '/v3/lease/revoke',
  authenticate: '/v3/auth/authenticate',
} as const

export function encodeText(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

export function decodeText(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString('utf8')
}

/** The keys from `prefix` on that start with it, as etcd has them: up to the prefix with its last byte raised. */
export function prefixRange(prefix: string): { readonly key: string; readonly range_end: string } {
  if (prefix === '') return { key: NUL, range_end: NUL }
  const end = Buffer.from(prefix, 'utf8')
  end[end.length - 1]! += 1
  return { key: encodeText(prefix), range_end: end.toString('base64') }
}

/** One zero byte: as a key the lowest there is, as an end "no end". */
const NUL = Buffer.of(0).toString('base64')

/** The prefix that a range stands for; undefined where it stands for something else. */
export function prefixOf(key: string, rangeEnd: string): string | undefined {
  if (key === NUL && rangeEnd === NUL) return ''
  const prefix = decodeText(key)
  return prefix !== '' && prefixRange(prefix).range_end === rangeEnd ? prefix : undefined
}

/** The lowest key above `key`. */
export function keyAfter(key: string): string {
  return Buffer.concat([Buffer.from(key, 'utf8'), Buffer.of(0)]).toString('base64')
}

export function encodePair({ key, value, createRevision, modRevision, version, lease }: KeyValue): WireKeyValue {
  return {
    key: encodeText(key),
    create_revision: String(createRevision),
    mod_revision: String(modRevision),
    version: String(version),
    ...(value === '' ? {} : { value: encodeText(value) }),
    ...(lease === undefined ? {} : { lease }),
  }
}

/** `root` is taken off the key. */
export function decodePair(kv: WireKeyValue, root: string): KeyValue {
  const { lease = '0' } = kv
  return {
    key: decodeText(kv.key).slice(root.length),
    value: decodeText(kv.value),
    createRevision: Number(kv.create_revision ?? 0),
    modRevision: Number(kv.mod_revision ?? 0),
    version: Number(kv.version ?? 0),
    ...(lease === '0' ? {} : { lease }),
  }
}

export function encodeEvent({ type, key, value, revision, createRevision }: MetadataEvent): WireEvent {
  const kv: WireKeyValue = { key: encodeText(key), mod_revision: String(revision) }
  if (type === 'delete') return { type: 'DELETE', kv }
  return {
    kv: { ...kv, create_revision: String(createRevision), ...(value === '' ? {} : { value: encodeText(value) }) },
  }
}

export function decodeEvent({ type = 'PUT', kv = {} }: WireEvent, root: string): MetadataEvent {
  const { key, value, modRevision, createRevision } = decodePair(kv, root)
  if (type === 'DELETE') return { type: 'delete', key, value: '', revision: modRevision, createRevision: 0 }
  return { type: 'put', key, value, revision: modRevision, createRevision }
}

const targets = { createRevision: 'CREATE', modRevision: 'MOD', version: 'VERSION', value: 'VALUE' } as const
const fields = { createRevision: 'create_revision', modRevision: 'mod_revision', version: 'version' } as const

export function encodeCompare(compare: Compare, root: string): WireCompare {
  const base = { target: targets[compare.field], result: 'EQUAL', key: encodeText(root + compare.key) } as const
  if (compare.field === 'value') return { ...base, value: encodeText(compare.equals) }
  return { ...base, [fields[compare.field]]: String(compare.equals) }
}

/** Undefined for what our store cannot compare. */
export function decodeCompare(wire: WireCompare): Compare | undefined {
  const key = decodeText(wire.key)
  if (wire.result !== undefined && wire.result !== 'EQUAL') return undefined
  if (wire.target === 'VALUE') return { key, field: 'value', equals: decodeText(wire.value) }
  if (wire.target === 'CREATE') return { key, field: 'createRevision', equals: Number(wire.create_revision ?? 0) }
  if (wire.target === 'MOD') return { key, field: 'modRevision', equals: Number(wire.mod_revision ?? 0) }
  if (wire.target === undefined || wire.target === 'VERSION') {
    return { key, field: 'version', equals: Number(wire.version ?? 0) }
  }
  return undefined
}

export function encodeOperation(operation: Operation, root: string): WireOperation {
  if (operation.type === 'put') {
    const { key, value, lease } = operation
    const put = { key: encodeText(root + key), value: encodeText(value) }
    return { request_put: lease === undefined ? put : { ...put, lease } }
  }
  if (operation.type === 'delete') return { request_delete_range: { key: encodeText(root + operation.key) } }
  return { request_delete_range: prefixRange(root + operation.prefix) }
}

/** Undefined for what our store cannot do. */
export function decodeOperation(wire: WireOperation): Operation | undefined {
  if (wire.request_put) {
    const { key, value, lease = '0' } = wire.request_put
    const put = { type: 'put', key: decodeText(key), value: decodeText(value) } as const
    return lease === '0' ? put : { ...put, lease }
  }
  if (!wire.request_delete_range) return undefined
  const { key = '', range_end: end } = wire.request_delete_range
  if (end === undefined) return { type: 'delete', key: decodeText(key) }
  const prefix = prefixOf(key, end)
  return prefix === undefined ? undefined : { type: 'deletePrefix', prefix }
}
