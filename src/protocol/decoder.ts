/**
 * The compiler of decoders: from a parsed table and a version to one straight function (`b` bytes, `p` position, `end`
 * exclusive) that returns the body. No field is looked up and no version asked at run time; every body of a message has
 * the same hidden class. Every length and count is compared with the bytes that are left before anything is allocated,
 * and a body that ends before `end` is refused like one that runs past it; but for {@link RESTS}.
 */
import { after, budget, int64, longVarint, malformed, text, uuid, view } from './reader.ts'
import { type Field, isNullable, isPresent } from './schema.ts'
import { FIXED_TYPES, stepsOf } from './types.ts'

/**
 * librdkafka from 2.2 on asks for all topics in flexible versions with three bytes too many: it reserves four for the number of
 * topics, of which the first is the null that is meant, and the rest moves to the end. Apache Kafka does not look there.
 */
const RESTS: ReadonlyMap<string, number> = new Map([['Metadata request', 3]])

/** Its result is the body that the table describes: {@link Message} gives it its type. */
export type Decoder = (bytes: Uint8Array, position: number, end: number) => unknown

const EMPTY: readonly never[] = Object.freeze([])
const STRING_BYTES_MAX = 0x7fff

export function compileDecoder(name: string, fields: readonly Field[], version: number, flexible: boolean): Decoder {
  const compilation = new DecoderCompilation(version, flexible)
  const source = compilation.compile(fields, flexible ? RESTS.get(name) : undefined)
  const what = `${name} version ${version}`
  const tools = {
    after,
    budget,
    int64,
    longVarint,
    text,
    uuid,
    view,
    EMPTY,
    defaults: compilation.defaults,
    short: (position: number): never => malformed(what, 'ends too early', position),
    bad: (reason: string, position: number): never => malformed(what, reason, position),
  }
  return new Function('tools', `'use strict'\nconst { ${Object.keys(tools).join(', ')} } = tools\n${source}`)(tools)
}

class DecoderCompilation {
  /** Structs that stand for absent ones; shared by all bodies, therefore frozen. */
  readonly defaults: object[] = []
  readonly #version: number
  readonly #flexible: boolean
  readonly #lines: string[] = []
  #names = 0
  /** The variable that holds where the bytes end: of the message, or of the tagged field that is being read. */
  #end = 'end'

  constructor(version: number, flexible: boolean) {
    this.#version = version
    this.#flexible = flexible
  }

  compile(fields: readonly Field[], rest: number | undefined): string {
    this.#emit('return (b, p, end) => {')
    const body = this.#struct(fields)
    const isOdd = rest === undefined ? '' : ` && end - p !== ${rest}`
    this.#emit(`if (p !== end${isOdd}) bad('bytes left over', p)`, `return ${body}`, '}')
    return this.#lines.join('\n')
  }

  #emit(...lines: string[]): void {
    this.#lines.push(...lines)
  }

  #name(): string {
    return `v${this.#names++}`
  }

  /** Emits the reading of a struct's fields; returns the expression of the object. */
  #struct(fields: readonly Field[]): string {
    const values = new Map<Field, string>()
    const present = fields.filter((field) => isPresent(field, this.#version))
    for (const step of stepsOf(present.filter((field) => field.tag < 0))) {
      if ('run' in step) this.#run(step.run, step.size, values)
      else values.set(step.field, this.#declared(step.field))
    }
    if (this.#flexible) {
      this.#tags(
        present.filter((field) => field.tag >= 0),
        values,
      )
    }
    return `{ ${fields.map((field) => `${field.name}: ${values.get(field) ?? this.#default(field)}`).join(', ')} }`
  }

  #run(run: readonly Field[], size: number, values: Map<Field, string>): void {
    this.#emit(`if (${this.#end} - p < ${size}) short(p)`)
    let offset = 0
    for (const field of run) {
      const type = FIXED_TYPES[field.type]!
      const name = this.#name()
      this.#emit(`const ${name} = ${type.read(offset === 0 ? 'p' : `p + ${offset}`)}`)
      values.set(field, name)
      offset += type.size
    }
    this.#emit(`p += ${size}`)
  }

  #declared(field: Field): string {
    const name = this.#name()
    this.#emit(`let ${name}`)
    this.#read(field, name)
    return name
  }

  /** Emits the reading of one field of any kind into `target`. */
  #read(field: Field, target: string): void {
    if (field.isArray) this.#array(field, target)
    else if (field.type === 'string') this.#string(field, target)
    else if (field.type === 'bytes' || field.type === 'records') this.#bytes(field, target)
    else if (field.type === 'struct') this.#oneStruct(field, target)
    else this.#fixed(field, target)
  }

  #fixed(field: Field, target: string): void {
    const type = FIXED_TYPES[field.type]!
    this.#emit(`if (${this.#end} - p < ${type.size}) short(p)`, `${target} = ${type.read('p')}`, `p += ${type.size}`)
  }

  /** Emits an unsigned varint; returns its variable. */
  #varint(): string {
    const name = this.#name()
    this.#emit(
      `if (p >= ${this.#end}) short(p)`,
      `let ${name} = b[p++]`,
      `if (${name} > 127) {`,
      `if ((${name} = longVarint(b, p, ${this.#end}, ${name})) < 0) bad('malformed varint', p)`,
      'p = after.position',
      '}',
    )
    return name
  }

  /** Emits a length or count, -1 for null; returns its variable. Compact ones are varints of one more. */
  #length(size: 2 | 4): string {
    if (this.#flexible) {
      const name = this.#varint()
      this.#emit(`${name} -= 1`)
      return name
    }
    const name = this.#name()
    this.#emit(
      `if (${this.#end} - p < ${size}) short(p)`,
      `const ${name} = ${FIXED_TYPES[size === 2 ? 'int16' : 'int32']!.read('p')}`,
      `p += ${size}`,
    )
    return name
  }

  /** Emits what a negative length means, as the head of an if; the caller goes on with the else part and closes it. */
  #null(field: Field, length: string, target: string): void {
    const nullable = isNullable(field, this.#version)
    this.#emit(
      `if (${length} < 0) {`,
      nullable ? `if (${length} !== -1) bad('negative length of ${field.name}', p)` : `bad('${field.name} is null', p)`,
      nullable ? `${target} = null` : '',
      '} else {',
    )
  }

  #string(field: Field, target: string): void {
    const length = this.#length(2)
    this.#null(field, length, target)
    if (this.#flexible) this.#emit(`if (${length} > ${STRING_BYTES_MAX}) bad('${field.name} is too long', p)`)
    this.#emit(`if (${length} > ${this.#end} - p) short(p)`, `${target} = text(b, p, ${length})`, `p += ${length}`, '}')
  }

  #bytes(field: Field, target: string): void {
    const length = this.#length(4)
    this.#null(field, length, target)
    this.#emit(`if (${length} > ${this.#end} - p) short(p)`, `${target} = view(b, p, ${length})`, `p += ${length}`, '}')
  }

  #oneStruct(field: Field, target: string): void {
    const nullable = isNullable(field, this.#version)
    if (nullable) {
      this.#emit(`if (p >= ${this.#end}) short(p)`, 'if (b[p++] > 127) {', `${target} = null`)
    }
    this.#emit(nullable ? '} else {' : '{')
    this.#emit(`${target} = ${this.#struct(field.fields)}`, '}')
  }

  #array(field: Field, target: string): void {
    const count = this.#length(4)
    const element = { ...field, isArray: false, nullableFrom: Number.POSITIVE_INFINITY }
    this.#null(field, count, target)
    this.#emit(
      `if (${count} === 0) ${target} = EMPTY`,
      'else {',
      `if (${count} * ${Math.max(1, this.#sizeMin(element))} > ${this.#end} - p) short(p)`,
      `if ((budget.elements -= ${count}) < 0) bad('too many elements', p)`,
    )
    const array = this.#name()
    const index = this.#name()
    this.#emit(`const ${array} = new Array(${count})`, `for (let ${index} = 0; ${index} < ${count}; ${index}++) {`)
    const type = FIXED_TYPES[field.type]
    if (type) {
      // The whole array was found to be there above.
      this.#emit(`${array}[${index}] = ${type.read('p')}`, `p += ${type.size}`)
    } else {
      this.#emit(
        `${array}[${index}] = ${element.type === 'struct' ? this.#struct(field.fields) : this.#declared(element)}`,
      )
    }
    this.#emit('}', `${target} = ${array}`, '}', '}')
  }

  /** The fewest bytes that a field can have: what makes a count of them believable. */
  #sizeMin(field: Field): number {
    const lengthBytes = this.#flexible ? 1 : field.type === 'string' && !field.isArray ? 2 : 4
    if (field.isArray) return lengthBytes
    if (field.type !== 'struct') return FIXED_TYPES[field.type]?.size ?? lengthBytes
    return isNullable(field, this.#version) ? 1 : this.#structSizeMin(field.fields)
  }

  #structSizeMin(fields: readonly Field[]): number {
    const present = fields.filter((field) => isPresent(field, this.#version) && field.tag < 0)
    return present.reduce((size, field) => size + this.#sizeMin(field), this.#flexible ? 1 : 0)
  }

  /** Emits the tagged fields at the end of a struct. Those we do not know are passed over, those that are missing get their default. */
  #tags(known: readonly Field[], values: Map<Field, string>): void {
    for (const field of known) {
      const name = this.#name()
      this.#emit(`let ${name} = ${this.#default(field)}`)
      values.set(field, name)
    }
    this.#emit(`if (p < ${this.#end} && b[p] === 0) p++`, 'else {')
    const count = this.#varint()
    const left = this.#name()
    this.#emit(
      `if (${count} * 2 > ${this.#end} - p) short(p)`,
      `if ((budget.elements -= ${count}) < 0) bad('too many tagged fields', p)`,
      `for (let ${left} = ${count}; ${left} > 0; ${left}--) {`,
    )
    const tag = this.#varint()
    const size = this.#varint()
    const end = this.#name()
    this.#emit(`if (${size} > ${this.#end} - p) short(p)`, `const ${end} = p + ${size}`, `switch (${tag}) {`)
    const outerEnd = this.#end
    this.#end = end
    for (const field of known) {
      this.#emit(`case ${field.tag}: {`)
      this.#read(field, values.get(field)!)
      this.#emit(`if (p !== ${end}) bad('${field.name} is not of its length', p)`, 'break', '}')
    }
    this.#end = outerEnd
    this.#emit(`default: p = ${end}`, '}', '}', '}')
  }

  /** The source text of a field's value when it is not there. */
  #default(field: Field): string {
    if (field.nullableFrom !== Number.POSITIVE_INFINITY) return 'null'
    if (field.isArray) return 'EMPTY'
    if (field.type === 'struct') return `defaults[${this.defaults.push(defaultStruct(field.fields)) - 1}]`
    if (field.type === 'bytes' || field.type === 'records') return 'new Uint8Array(0)'
    return JSON.stringify(field.default)
  }
}

function defaultStruct(fields: readonly Field[]): object {
  const value = (field: Field): unknown => {
    if (field.nullableFrom !== Number.POSITIVE_INFINITY) return null
    if (field.isArray) return EMPTY
    if (field.type === 'struct') return defaultStruct(field.fields)
    return field.type === 'bytes' || field.type === 'records' ? new Uint8Array(0) : field.default
  }
  return Object.freeze(Object.fromEntries(fields.map((field) => [field.name, value(field)])))
}
