/**
 * The language in which messages are declared: one object per message that holds every version, one line a field.
 *
 *   name: 'type[?[N+]] [@versions] [#tag] [=default]'
 *
 *   int32            present in every version             int32 @7+     from version 7 on       int32 @0-14   up to 14
 *   string?          may be null                          string?10+    may be null from version 10 on
 *   int32[]          array                                =-1           default, where it is not the type's own zero
 *   #0               tagged field with this tag (flexible versions only), written only when it is not its default
 *
 *   topics: arrayOf({ … }, '@7+')      array of structs; the text may begin with `?` for nullable
 *   leader: struct({ … }, '@10+ #0')   a struct in place
 *
 * Defaults: 0, false, '', the zero uuid, an empty array; null for what may be null (in a version where it may not, the
 * type's own). The names are Kafka's, because bodies are compared with Kafka's own classes by name.
 * The TypeScript type of a body is inferred from the same text, so that nothing is written twice.
 */
import { assert } from '../base/index.ts'

/** What each type of the wire is in JavaScript. int64 saturates at ±Number.MAX_SAFE_INTEGER when decoded. */
interface Scalars {
  readonly bool: boolean
  readonly int8: number
  readonly int16: number
  readonly int32: number
  readonly int64: number
  readonly string: string
  /** 22 characters of base64url, as Kafka prints them. */
  readonly uuid: string
  readonly bytes: Uint8Array
  /** Record batches: the same bytes on the wire as `bytes`. */
  readonly records: Uint8Array
}
export type ScalarType = keyof Scalars

export interface Fields {
  readonly [name: string]: FieldSpec
}
export type FieldSpec = string | StructSpec<Fields, string> | ArraySpec<Fields, string>

export interface StructSpec<F extends Fields, S extends string> {
  readonly kind: 'struct'
  readonly fields: F
  readonly spec: S
}
export interface ArraySpec<F extends Fields, S extends string> {
  readonly kind: 'array'
  readonly fields: F
  readonly spec: S
}

export function struct<const F extends Fields, const S extends string = ''>(fields: F, spec?: S): StructSpec<F, S> {
  return { kind: 'struct', fields, spec: spec ?? ('' as S) }
}

export function arrayOf<const F extends Fields, const S extends string = ''>(fields: F, spec?: S): ArraySpec<F, S> {
  return { kind: 'array', fields, spec: spec ?? ('' as S) }
}

type FirstWord<S extends string> = S extends `${infer Word} ${string}` ? Word : S
type OfType<T extends string> = T extends `${infer E}[]`
  ? readonly OfType<E>[]
  : T extends ScalarType
    ? Scalars[T]
    : never
type OfWord<W extends string> = W extends `${infer T}?${string}` ? OfType<T> | null : OfType<W>
type OrNull<S extends string, T> = S extends `?${string}` ? T | null : T
type ValueOf<S> = S extends string
  ? OfWord<FirstWord<S>>
  : S extends ArraySpec<infer F, infer X>
    ? OrNull<X, readonly BodyOf<F>[]>
    : S extends StructSpec<infer F, infer X>
      ? OrNull<X, BodyOf<F>>
      : never

/** The decoded body of a message: every field of every version, those that the version lacks with their defaults. */
export type BodyOf<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> }

/** A field as the compiler sees it. */
export interface Field {
  readonly name: string
  readonly type: ScalarType | 'struct'
  readonly isArray: boolean
  /** Members, when `type` is struct. */
  readonly fields: readonly Field[]
  /** First and last version that have the field. */
  readonly from: number
  readonly to: number
  /** First version in which it may be null; Infinity for never. */
  readonly nullableFrom: number
  /** -1: not tagged. */
  readonly tag: number
  readonly default: number | boolean | string | null
}

const SPEC = /^(\w+)(\[\])?(\?(?:(\d+)\+)?)?(?: @(\d+)(?:(\+)|-(\d+))?)?(?: #(\d+))?(?: =(\S+))?$/

/** The fields of a declaration, in its order. Throws on a text that is not of the language: a mistake in our own table. */
export function parseFields(fields: Fields): readonly Field[] {
  return Object.entries(fields).map(([name, spec]) => {
    if (typeof spec === 'string') return parseField(name, spec, false, [])
    const text = spec.spec === '' || spec.spec.startsWith('?') ? `struct${spec.spec}` : `struct ${spec.spec}`
    return parseField(name, text, spec.kind === 'array', parseFields(spec.fields))
  })
}

function parseField(name: string, text: string, isArray: boolean, fields: readonly Field[]): Field {
  const match = SPEC.exec(text)
  if (!match) throw new SyntaxError(`field ${name}: cannot read '${text}'`)
  const [, type, brackets, question, nullableFrom, from, plus, to, tag, given] = match
  assert(isFieldType(type!) && (type === 'struct') === fields.length > 0, 'unknown field type in a message table')
  return {
    name,
    type: type as Field['type'],
    isArray: isArray || brackets !== undefined,
    fields,
    from: from === undefined ? 0 : Number(from),
    to:
      to !== undefined
        ? Number(to)
        : from === undefined || plus !== undefined
          ? Number.POSITIVE_INFINITY
          : Number(from),
    nullableFrom: question === undefined ? Number.POSITIVE_INFINITY : Number(nullableFrom ?? 0),
    tag: tag === undefined ? -1 : Number(tag),
    default: parseDefault(type!, given, question !== undefined),
  }
}

const TYPES = ['bool', 'int8', 'int16', 'int32', 'int64', 'string', 'uuid', 'bytes', 'records', 'struct']
const isFieldType = (type: string): boolean => TYPES.includes(type)

/** The zero uuid: "no id". */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

function parseDefault(type: string, given: string | undefined, nullable: boolean): Field['default'] {
  if (given === undefined && nullable) return null
  if (type === 'bool') return given === 'true'
  if (type === 'uuid') return ZERO_UUID
  if (type.startsWith('int')) {
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Number(given ?? 0)))
  }
  return ''
}

export function isPresent(field: Field, version: number): boolean {
  return version >= field.from && version <= field.to
}

export function isNullable(field: Field, version: number): boolean {
  return version >= field.nullableFrom
}
