/**
 * A message on the wire (int32 length, header, body), both ways. Headers by version:
 *
 *   request   int16 api key · int16 api version · int32 correlation id · nullable string client id (never compact) ·
 *             [tagged fields, in flexible versions]
 *   response  int32 correlation id · [tagged fields, in flexible versions; never for ApiVersions, whose client cannot
 *             know yet what the broker speaks]
 */

import { PagelogError } from '../base/index.ts'
import { type Api, requireVersion } from './api.ts'
import { ApiVersions } from './apis/18-api-versions.ts'
import type { Input, Part, Region } from './part.ts'
import { after, budget, longVarint, malformed, text } from './reader.ts'
import { putInt32, putString, stringRoom, writer } from './writer.ts'

/**
 * Array elements and tagged fields in one request: as many as a large cluster has partitions, and few enough that a
 * hostile request holds the event loop for no longer than a fifth of a second. Responses have no such bound: whoever
 * reads them chose the broker.
 */
const REQUEST_ELEMENTS_MAX = 200_000

export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** Where a version 1 header ends; in flexible versions tagged fields follow, which {@link decodeRequest} passes over. */
  readonly end: number
}

/**
 * A request with its length in front, in parts. `R` is what the body's splices hold, passed through untouched. Memory of
 * up to 1 KiB is copied; all else must stay as it is until the parts are sent.
 */
export function encodeRequest<Req, Res, R extends Region = Region>(
  api: Api<Req, Res>,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: Input<Req>,
): Part<R>[] {
  requireVersion(api, version)
  writer.begin()
  const room = 16 + (clientId === null ? 0 : stringRoom(clientId))
  let { bytes, position } = writer
  if (bytes.length - position < room) bytes = writer.grow(position, room)
  putInt32(bytes, position, (api.key << 16) | version)
  putInt32(bytes, position + 4, correlationId)
  position += 8
  if (clientId === null) {
    bytes[position++] = 0xff
    bytes[position++] = 0xff
  } else {
    position = putString(bytes, position, clientId)
    if (position < 0) throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'the client id is too long')
  }
  if (version >= api.flexibleFrom) bytes[position++] = 0
  writer.position = position
  api.request.encode(version, writer, body)
  return writer.finish() as Part<R>[]
}

/** A response with its length in front, in parts; see {@link encodeRequest}. */
export function encodeResponse<Req, Res, R extends Region = Region>(
  api: Api<Req, Res>,
  version: number,
  correlationId: number,
  body: Input<Res>,
): Part<R>[] {
  requireVersion(api, version)
  writer.begin()
  putInt32(writer.bytes, writer.position, correlationId)
  writer.position += 4
  if (hasResponseTags(api, version)) writer.bytes[writer.position++] = 0
  api.response.encode(version, writer, body)
  return writer.finish() as Part<R>[]
}

/** The header of any request, of whatever key and version. */
export function decodeRequestHeader(bytes: Uint8Array): RequestHeader {
  if (bytes.length < 10) malformed('request header', 'ends too early', bytes.length)
  const apiKey = int16(bytes, 0)
  const apiVersion = int16(bytes, 2)
  const correlationId = int32(bytes, 4)
  const length = int16(bytes, 8)
  const end = headerEnd(bytes, length)
  return { apiKey, apiVersion, correlationId, clientId: length < 0 ? null : text(bytes, 10, length), end }
}

/** The body of a request; `bytes` is the whole frame. */
export function decodeRequest<Req, Res>(api: Api<Req, Res>, version: number, bytes: Uint8Array): Req {
  requireVersion(api, version)
  if (bytes.length < 10) malformed('request header', 'ends too early', bytes.length)
  let position = headerEnd(bytes, int16(bytes, 8))
  budget.elements = REQUEST_ELEMENTS_MAX
  if (version >= api.flexibleFrom) position = skipTags(bytes, position)
  return api.request.decode(version, bytes, position, bytes.length)
}

/** The body of a response; `bytes` is the whole frame. The caller found out by {@link correlationIdOf} what it answers. */
export function decodeResponse<Req, Res>(
  api: Api<Req, Res>,
  version: number,
  bytes: Uint8Array,
): { readonly correlationId: number; readonly body: Res } {
  requireVersion(api, version)
  const correlationId = correlationIdOf(bytes)
  budget.elements = Number.MAX_SAFE_INTEGER
  const position = hasResponseTags(api, version) ? skipTags(bytes, 4) : 4
  return { correlationId, body: api.response.decode(version, bytes, position, bytes.length) }
}

/** The first thing in every response frame. */
export function correlationIdOf(bytes: Uint8Array): number {
  if (bytes.length < 4) malformed('response header', 'ends too early', bytes.length)
  return int32(bytes, 0)
}

function hasResponseTags(api: Pick<Api, 'key' | 'flexibleFrom'>, version: number): boolean {
  return version >= api.flexibleFrom && api.key !== ApiVersions.key
}

function headerEnd(bytes: Uint8Array, clientIdLength: number): number {
  if (clientIdLength < -1) malformed('request header', 'negative length of the client id', 8)
  const end = 10 + Math.max(0, clientIdLength)
  if (end > bytes.length) malformed('request header', 'ends too early', bytes.length)
  return end
}

function int16(bytes: Uint8Array, position: number): number {
  return ((bytes[position]! << 24) >> 16) | bytes[position + 1]!
}

function int32(bytes: Uint8Array, position: number): number {
  return (bytes[position]! << 24) | (bytes[position + 1]! << 16) | (bytes[position + 2]! << 8) | bytes[position + 3]!
}

/** Passes over the tagged fields of a header: Kafka 4.1 defines none that a broker or a client needs. */
function skipTags(bytes: Uint8Array, position: number): number {
  if (bytes[position] === 0) return position + 1
  after.position = position
  const count = varint(bytes)
  budget.elements -= count
  if (budget.elements < 0) malformed('header', 'too many tagged fields', position)
  for (let i = 0; i < count; i++) {
    varint(bytes)
    const size = varint(bytes)
    if (size > bytes.length - after.position) malformed('header', 'ends too early', after.position)
    after.position += size
  }
  return after.position
}

/** The varint at `after.position`, which moves behind it. */
function varint(bytes: Uint8Array): number {
  const { position } = after
  if (position >= bytes.length) malformed('header', 'ends too early', position)
  const first = bytes[position]!
  after.position = position + 1
  if (first < 0x80) return first
  const value = longVarint(bytes, position + 1, bytes.length, first)
  if (value < 0) malformed('header', 'malformed varint', position)
  return value
}
