/**
 * An API of the protocol: its key, its versions, and the two messages with their codecs. Objects of this kind are
 * constants, one per file in `apis/`; a (message, version) is compiled the first time it is used.
 */
import { PagelogError } from '../base/index.ts'
import { compileDecoder, type Decoder } from './decoder.ts'
import { compileEncoder, type Encoder } from './encoder.ts'
import type { Input } from './part.ts'
import { type BodyOf, type Field, type Fields, parseFields } from './schema.ts'
import type { Writer } from './writer.ts'

/** One direction of an API in all its versions. The versions given to it must be the API's. */
export class Message<T> {
  /** `Produce request`; begins every error text. */
  readonly name: string
  readonly #table: Fields
  readonly #flexibleFrom: number
  readonly #decoders: Decoder[] = []
  readonly #encoders: Encoder[] = []
  #fields: readonly Field[] | undefined

  constructor(name: string, table: Fields, flexibleFrom: number) {
    this.name = name
    this.#table = table
    this.#flexibleFrom = flexibleFrom
  }

  /** The table, parsed. */
  get fields(): readonly Field[] {
    this.#fields ??= parseFields(this.#table)
    return this.#fields
  }

  /** Reads the body that fills `bytes` from `position` to `end`. */
  decode(version: number, bytes: Uint8Array, position: number, end: number): T {
    this.#decoders[version] ??= compileDecoder(this.name, this.fields, version, version >= this.#flexibleFrom)
    return this.#decoders[version](bytes, position, end) as T
  }

  /** Writes the body at the writer's position. */
  encode(version: number, writer: Writer, body: Input<T>): void {
    this.#encoders[version] ??= compileEncoder(this.name, this.fields, version, version >= this.#flexibleFrom)
    this.#encoders[version](writer, body)
  }
}

export interface Api<Req = unknown, Res = unknown> {
  readonly key: number
  readonly name: string
  /** Versions that are served. */
  readonly minVersion: number
  readonly maxVersion: number
  /** Lowest version to name in an ApiVersions response; below `minVersion` for Produce only (KAFKA-18659). */
  readonly advertisedMin: number
  /** First version with compact types and tagged fields; Infinity for none. */
  readonly flexibleFrom: number
  readonly request: Message<Req>
  readonly response: Message<Res>
}

/** How the tables in `apis/` declare themselves. */
export function api<const Q extends Fields, const S extends Fields>(
  about: {
    key: number
    name: string
    versions: readonly [number, number]
    flexibleFrom: number
    advertisedMin?: number
  },
  request: Q,
  response: S,
): Api<BodyOf<Q>, BodyOf<S>> {
  const { key, name, versions, flexibleFrom } = about
  return {
    key,
    name,
    minVersion: versions[0],
    maxVersion: versions[1],
    advertisedMin: about.advertisedMin ?? versions[0],
    flexibleFrom,
    request: new Message<BodyOf<Q>>(`${name} request`, request, flexibleFrom),
    response: new Message<BodyOf<S>>(`${name} response`, response, flexibleFrom),
  }
}

export type RequestOf<A> = A extends Api<infer Req, infer _Res> ? Req : never
export type ResponseOf<A> = A extends Api<infer _Req, infer Res> ? Res : never

export function supports(api: Pick<Api, 'minVersion' | 'maxVersion'>, version: number): boolean {
  return version >= api.minVersion && version <= api.maxVersion
}

/** Throws PAGELOG_UNSUPPORTED for a version that the table does not have. */
export function requireVersion(api: Pick<Api, 'name' | 'minVersion' | 'maxVersion'>, version: number): void {
  if (!supports(api, version)) throw new PagelogError('PAGELOG_UNSUPPORTED', `${api.name} has no version ${version}`)
}
