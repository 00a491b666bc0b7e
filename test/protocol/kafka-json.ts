/** Bodies as Kafka's JSON converters write and read them: by Kafka's names, what the version lacks left out. */
import { isDeepStrictEqual } from 'node:util'
import { type Field, isPresent } from '../../src/protocol/schema.ts'
import type { Json } from '../peers/protocol/exchange.ts'
import { type Body, defaultOf } from './bodies.ts'

/**
 * `records`: Kafka reads them in base64, but writes their size only, under another name. Either way tagged fields are
 * there only when they are not their defaults.
 */
export function toKafkaJson(fields: readonly Field[], version: number, body: Body, records: 'bytes' | 'size'): Json {
  const json: Record<string, Json> = {}
  for (const field of fields) {
    const value = body[field.name]
    if (!isPresent(field, version)) continue
    if (field.tag >= 0 && isDeepStrictEqual(value, defaultOf(field))) continue
    const sized = field.type === 'records' && records === 'size' && value !== null
    json[sized ? `${field.name}SizeInBytes` : field.name] = toJson(field, version, value, records)
  }
  return json
}

function toJson(field: Field, version: number, value: unknown, records: 'bytes' | 'size'): Json {
  if (value === null) return null
  if (Array.isArray(value)) {
    return value.map((element) => toJson({ ...field, isArray: false }, version, element, records))
  }
  if (value instanceof Uint8Array) {
    return field.type === 'records' && records === 'size' ? value.length : Buffer.from(value).toString('base64')
  }
  if (field.type === 'struct') return toKafkaJson(field.fields, version, value as Body, records)
  return value as Json
}
