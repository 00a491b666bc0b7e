/**
 * The types of fixed size: how many bytes each takes, and the source text that reads and writes one. In that text `b` is
 * the Uint8Array, `at` an expression for the position. Strings, bytes and arrays have lengths, and are in the compilers.
 */
import type { Field } from './schema.ts'

interface FixedType {
  readonly size: number
  read(at: string): string
  /** A condition that the value cannot be written, or '' when every value can. */
  refuse(value: string): string
  write(at: string, value: string): string
}

const at = (position: string, offset: number): string =>
  offset === 0 ? `b[${position}]` : `b[${position} + ${offset}]`

export const FIXED_TYPES: { readonly [type: string]: FixedType } = {
  bool: {
    size: 1,
    read: (p) => `${at(p, 0)} !== 0`,
    refuse: () => '',
    write: (p, v) => `${at(p, 0)} = ${v} ? 1 : 0`,
  },
  int8: {
    size: 1,
    read: (p) => `${at(p, 0)} << 24 >> 24`,
    refuse: (v) => `${v} << 24 >> 24 !== ${v}`,
    write: (p, v) => `${at(p, 0)} = ${v}`,
  },
  int16: {
    size: 2,
    read: (p) => `${at(p, 0)} << 24 >> 16 | ${at(p, 1)}`,
    refuse: (v) => `${v} << 16 >> 16 !== ${v}`,
    write: (p, v) => `${at(p, 0)} = ${v} >> 8; ${at(p, 1)} = ${v}`,
  },
  int32: {
    size: 4,
    read: (p) => `${at(p, 0)} << 24 | ${at(p, 1)} << 16 | ${at(p, 2)} << 8 | ${at(p, 3)}`,
    refuse: (v) => `(${v} | 0) !== ${v}`,
    write: (p, v) => `${at(p, 0)} = ${v} >> 24; ${at(p, 1)} = ${v} >> 16; ${at(p, 2)} = ${v} >> 8; ${at(p, 3)} = ${v}`,
  },
  int64: {
    size: 8,
    read: (p) => `int64(b, ${p})`,
    refuse: (v) => `!Number.isSafeInteger(${v})`,
    write: (p, v) => `putInt64(b, ${p}, ${v})`,
  },
  uuid: {
    size: 16,
    read: (p) => `uuid(b, ${p})`,
    refuse: () => '',
    write: (p, v) => `putUuid(b, ${p}, ${v})`,
  },
}

/** Size of one element on the wire, 0 when it depends on the value. */
export function fixedSize(field: Field): number {
  return field.isArray ? 0 : (FIXED_TYPES[field.type]?.size ?? 0)
}

/** Fields in order, those of fixed size that follow one another as one run: checked and reserved once. */
export type Step = { readonly run: readonly Field[]; readonly size: number } | { readonly field: Field }

export function stepsOf(fields: readonly Field[]): Step[] {
  const steps: Step[] = []
  let run: Field[] = []
  let size = 0
  const close = (): void => {
    if (run.length > 0) steps.push({ run, size })
    run = []
    size = 0
  }
  for (const field of fields) {
    const bytes = fixedSize(field)
    if (bytes === 0) {
      close()
      steps.push({ field })
    } else {
      run.push(field)
      size += bytes
    }
  }
  close()
  return steps
}
