/** Arbitrary bodies of a message, made from its table: what a decoder of that version must give back. */
import fc from 'fast-check'
import type { Api } from '../../src/protocol/index.ts'
import { type Field, isNullable, isPresent } from '../../src/protocol/schema.ts'

export type Direction = 'request' | 'response'
export const directions: readonly Direction[] = ['request', 'response']
export type Body = { readonly [name: string]: unknown }

export function versionsOf(api: Api): number[] {
  return Array.from({ length: api.maxVersion - api.minVersion + 1 }, (_, i) => api.minVersion + i)
}

const empty = new Uint8Array(0)

/** What stands for a field that the version, or the sender, does not have. */
export function defaultOf(field: Field): unknown {
  if (field.nullableFrom !== Number.POSITIVE_INFINITY) return null
  if (field.isArray) return []
  if (field.type === 'struct') return Object.fromEntries(field.fields.map((member) => [member.name, defaultOf(member)]))
  return field.type === 'bytes' || field.type === 'records' ? empty : field.default
}

const bytes = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1000, maxLength: 1100 }) },
)
const string = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 60, maxLength: 300 }) },
)

const scalars: { readonly [type: string]: fc.Arbitrary<unknown> } = {
  bool: fc.boolean(),
  int8: fc.integer({ min: -128, max: 127 }),
  int16: fc.integer({ min: -32768, max: 32767 }),
  int32: fc.integer(),
  int64: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -2, max: 300 })),
  string,
  uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString('base64url')),
  bytes,
  records: bytes,
}

/** Fields that Kafka does not know have tags from here on. */
const OWN_TAGS = 10_000

export function bodyOf(fields: readonly Field[], version: number): fc.Arbitrary<Body> {
  return fc.record(Object.fromEntries(fields.map((field) => [field.name, fieldValue(field, version)])))
}

function fieldValue(field: Field, version: number): fc.Arbitrary<unknown> {
  if (!isPresent(field, version)) return fc.constant(defaultOf(field))
  const one = field.type === 'struct' ? bodyOf(field.fields, version) : scalars[field.type]!
  const value = field.isArray ? fc.array(one, { maxLength: 3 }) : one
  const nullable = isNullable(field, version) ? fc.option(value, { freq: 4 }) : value
  if (field.tag >= OWN_TAGS) return fc.constant(defaultOf(field))
  // Tagged fields are left out often: both ways through the encoder are of interest.
  return field.tag < 0 ? nullable : fc.oneof(nullable, fc.constant(defaultOf(field)))
}

/** The shortest body in which every array that is present has one element: where a count is as large as it may be. */
export function smallestBody(fields: readonly Field[], version: number): Body {
  return Object.fromEntries(
    fields.map((field) => {
      if (!isPresent(field, version) || field.tag >= 0) return [field.name, defaultOf(field)]
      const one =
        field.type === 'struct' ? smallestBody(field.fields, version) : defaultOf({ ...field, isArray: false })
      if (field.isArray) return [field.name, [one ?? '']]
      return [field.name, isNullable(field, version) || one !== null ? one : '']
    }),
  )
}

/** A body as it is after a way through this version: what the version lacks is back at its default. */
export function inVersion(fields: readonly Field[], version: number, body: Body): Body {
  const project = (field: Field, value: unknown): unknown => {
    if (field.type !== 'struct' || value === null) return value
    if (Array.isArray(value)) return value.map((element) => project({ ...field, isArray: false }, element))
    return inVersion(field.fields, version, value as Body)
  }
  return Object.fromEntries(
    fields.map((field) => [
      field.name,
      isPresent(field, version) ? project(field, body[field.name]) : defaultOf(field),
    ]),
  )
}

/** The parts of an encoded message as one frame without its length. */
export function frameOf(parts: readonly object[]): Uint8Array {
  const all = Buffer.concat(parts as Uint8Array[])
  if (all.readInt32BE(0) !== all.length - 4) throw new Error('the length in front of the frame is wrong')
  return new Uint8Array(all.buffer, all.byteOffset + 4, all.length - 4)
}

export function toHex(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')
}
