/**
 * JSON that a person can read and git can compare: what fits on a line stands on one. A result of hours of runs is thousands of points; a
 * line for each of their fields made it half as large again.
 */

const LINE = 140
/** More digits of a fraction say nothing that was measured. */
const DIGITS = 9

export function toJson(value: unknown): string {
  return `${layOut(JSON.parse(JSON.stringify(value, shortened)), '')}\n`
}

function shortened(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(DIGITS)) : value
}

function layOut(value: unknown, indent: string): string {
  const flat = JSON.stringify(value)
  if (flat.length + indent.length <= LINE || typeof value !== 'object' || value === null) return flat
  const inner = `${indent} `
  const isArray = Array.isArray(value)
  const fields = isArray
    ? value.map((one) => layOut(one, inner))
    : Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${layOut(one, inner)}`)
  const [open, close] = isArray ? ['[', ']'] : ['{', '}']
  return `${open}\n${fields.map((field) => inner + field).join(',\n')}\n${indent}${close}`
}
