/**
 * The compiler of encoders: from a parsed table and a version to one straight function (`w` writer, `m` body; inside,
 * `b` bytes and `p` position) that writes the body. Room is reserved once per run of fixed-size fields and per string or
 * array length. Only what the version has is written; what the body lacks is written as its default.
 * A value that the wire cannot carry (a number out of its range, null where there is none) is the caller's mistake:
 * PAGELOG_INVALID_ARGUMENT, and nothing of the message is kept.
 */
import { PagelogError } from '../base/index.ts'
import { type Field, isNullable, isPresent } from './schema.ts'
import { FIXED_TYPES, stepsOf } from './types.ts'
import {
  closeTag,
  isCopied,
  putCompactString,
  putInt64,
  putString,
  putUuid,
  putVarint,
  stringRoom,
  type Writer,
} from './writer.ts'

export type Encoder = (writer: Writer, body: unknown) => void

const NOTHING = Object.freeze({ array: Object.freeze([]), struct: Object.freeze({}), bytes: new Uint8Array(0) })

export function compileEncoder(name: string, fields: readonly Field[], version: number, flexible: boolean): Encoder {
  const source = new EncoderCompilation(version, flexible).compile(fields)
  const tools = {
    closeTag,
    isCopied,
    putCompactString,
    putInt64,
    putString,
    putUuid,
    putVarint,
    stringRoom,
    NOTHING,
    bad: (field: string, value: unknown): never => {
      const what = typeof value === 'string' && value.length > 64 ? `a string of ${value.length}` : String(value)
      throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `${name} version ${version}: ${field} cannot be ${what}`)
    },
  }
  return new Function('tools', `'use strict'\nconst { ${Object.keys(tools).join(', ')} } = tools\n${source}`)(tools)
}

class EncoderCompilation {
  readonly #version: number
  readonly #flexible: boolean
  readonly #lines: string[] = []
  #names = 0
  /** Inside a tagged field all bytes are in place: its length must be known. */
  #inTag = false

  constructor(version: number, flexible: boolean) {
    this.#version = version
    this.#flexible = flexible
  }

  compile(fields: readonly Field[]): string {
    this.#emit('return (w, m) => {', 'let b = w.bytes, p = w.position')
    this.#struct(fields, 'm')
    this.#emit('w.position = p', '}')
    return this.#lines.join('\n')
  }

  #emit(...lines: string[]): void {
    this.#lines.push(...lines)
  }

  #name(): string {
    return `v${this.#names++}`
  }

  /** Emits the reservation of room. */
  #reserve(bytes: number | string): void {
    this.#emit(`if (b.length - p < ${bytes}) b = w.grow(p, ${bytes})`)
  }

  #struct(fields: readonly Field[], source: string): void {
    const present = fields.filter((field) => isPresent(field, this.#version))
    for (const step of stepsOf(present.filter((field) => field.tag < 0))) {
      if ('run' in step) this.#run(step.run, step.size, source)
      else this.#value(step.field, this.#valueOf(step.field, source))
    }
    if (this.#flexible) {
      this.#tags(
        present.filter((field) => field.tag >= 0).sort((one, other) => one.tag - other.tag),
        source,
      )
    }
  }

  /** Emits a variable with the field's value, its default when it is missing. */
  #valueOf(field: Field, source: string): string {
    const name = this.#name()
    this.#emit(`let ${name} = ${source}.${field.name}`, `if (${name} === undefined) ${name} = ${this.#default(field)}`)
    return name
  }

  #default(field: Field): string {
    if (isNullable(field, this.#version)) return 'null'
    if (field.isArray) return 'NOTHING.array'
    if (field.type === 'struct') return 'NOTHING.struct'
    if (field.type === 'bytes' || field.type === 'records') return 'NOTHING.bytes'
    return JSON.stringify(field.default ?? '')
  }

  #run(run: readonly Field[], size: number, source: string): void {
    this.#reserve(size)
    let offset = 0
    for (const field of run) {
      this.#fixed(field, this.#valueOf(field, source), offset === 0 ? 'p' : `p + ${offset}`)
      offset += FIXED_TYPES[field.type]!.size
    }
    this.#emit(`p += ${size}`)
  }

  #fixed(field: Field, value: string, at: string): void {
    const type = FIXED_TYPES[field.type]!
    const refuse = type.refuse(value)
    if (refuse !== '') this.#emit(`if (${refuse}) bad('${field.name}', ${value})`)
    this.#emit(type.write(at, value))
  }

  /** Emits the writing of a value of any kind. */
  #value(field: Field, value: string): void {
    if (field.isArray) this.#array(field, value)
    else if (field.type === 'string') this.#string(field, value)
    else if (field.type === 'bytes' || field.type === 'records') this.#bytes(field, value)
    else if (field.type === 'struct') this.#oneStruct(field, value)
    else this.#oneFixed(field, value)
  }

  #oneFixed(field: Field, value: string): void {
    const { size } = FIXED_TYPES[field.type]!
    this.#reserve(size)
    this.#fixed(field, value, 'p')
    this.#emit(`p += ${size}`)
  }

  /** Emits what null means, as the head of an if; the caller goes on with the else part and closes it. */
  #null(field: Field, value: string, size: 1 | 2 | 4): void {
    this.#emit(`if (${value} === null) {`)
    if (isNullable(field, this.#version)) {
      const bytes = this.#flexible || size === 1 ? 1 : size
      this.#reserve(bytes)
      for (let i = 0; i < bytes; i++) this.#emit(`b[p++] = ${this.#flexible && size > 1 ? 0 : 255}`)
    } else {
      this.#emit(`bad('${field.name}', null)`)
    }
    this.#emit('} else {')
  }

  /** Emits a length or count; the room must be there. Compact ones are varints of one more. */
  #length(length: string): void {
    if (this.#flexible) this.#emit(`p = putVarint(b, p, ${length} + 1)`)
    else this.#emit(FIXED_TYPES.int32!.write('p', length), 'p += 4')
  }

  #string(field: Field, value: string): void {
    const room = this.#name()
    this.#null(field, value, 2)
    this.#emit(`const ${room} = stringRoom(${value})`)
    this.#reserve(room)
    const end = this.#name()
    this.#emit(
      `const ${end} = ${this.#flexible ? 'putCompactString' : 'putString'}(b, p, ${value})`,
      `if (${end} < 0) bad('${field.name}', ${value})`,
      `p = ${end}`,
      '}',
    )
  }

  #bytes(field: Field, value: string): void {
    this.#null(field, value, 4)
    this.#reserve(5)
    this.#length(`${value}.byteLength`)
    if (this.#inTag) this.#emit(`if (!(${value} instanceof Uint8Array)) bad('${field.name}', 'in parts')`, '{')
    else this.#emit(`if (!isCopied(${value})) w.splice(p, ${value})`, 'else {')
    this.#reserve(`${value}.byteLength`)
    this.#emit(`b.set(${value}, p)`, `p += ${value}.byteLength`, '}', '}')
  }

  #oneStruct(field: Field, value: string): void {
    this.#null(field, value, 1)
    if (isNullable(field, this.#version)) {
      this.#reserve(1)
      this.#emit('b[p++] = 1')
    }
    this.#struct(field.fields, value)
    this.#emit('}')
  }

  #array(field: Field, value: string): void {
    const index = this.#name()
    this.#null(field, value, 4)
    this.#reserve(5)
    this.#length(`${value}.length`)
    const type = FIXED_TYPES[field.type]
    const element = this.#name()
    if (type) this.#reserve(`${value}.length * ${type.size}`)
    this.#emit(
      `for (let ${index} = 0; ${index} < ${value}.length; ${index}++) {`,
      `const ${element} = ${value}[${index}]`,
    )
    if (type) {
      this.#fixed(field, element, 'p')
      this.#emit(`p += ${type.size}`)
    } else {
      this.#value({ ...field, isArray: false, nullableFrom: Number.POSITIVE_INFINITY }, element)
    }
    this.#emit('}', '}')
  }

  /** Emits the tagged fields: how many there are, then those that are not their defaults, by tag. */
  #tags(fields: readonly Field[], source: string): void {
    if (fields.length === 0) {
      this.#reserve(1)
      this.#emit('b[p++] = 0')
      return
    }
    const count = this.#name()
    this.#emit(`let ${count} = 0`)
    const values = fields.map((field) => {
      const value = this.#valueOf(field, source)
      const given = this.#name()
      this.#emit(`const ${given} = ${this.#differs(field, value)}`, `if (${given}) ${count}++`)
      return { field, value, given }
    })
    // Tags and the number of them are below 128 in every message of Kafka.
    this.#reserve(1)
    this.#emit(`b[p++] = ${count}`, `if (${count} > 0) {`)
    const outer = this.#inTag
    this.#inTag = true
    for (const { field, value, given } of values) {
      const begin = this.#name()
      this.#emit(`if (${given}) {`)
      this.#reserve(2)
      this.#emit(`b[p] = ${field.tag}`, `const ${begin} = p + 1`, 'p += 2')
      this.#value(field, value)
      this.#reserve(5)
      this.#emit(`p = closeTag(b, ${begin}, p)`, '}')
    }
    this.#inTag = outer
    this.#emit('}')
  }

  /** The condition that a value is not its default. */
  #differs(field: Field, value: string): string {
    if (isNullable(field, this.#version)) return `${value} !== null`
    if (field.isArray || field.type === 'bytes' || field.type === 'records') {
      return `${value}.${field.isArray ? 'length' : 'byteLength'} !== 0`
    }
    if (field.type !== 'struct') return `${value} !== ${JSON.stringify(field.default)}`
    const members = field.fields.filter((member) => isPresent(member, this.#version))
    return members
      .map((member) => {
        const inner = `${value}.${member.name}`
        return `(${inner} !== undefined && ${this.#differs(member, inner)})`
      })
      .join(' || ')
  }
}
