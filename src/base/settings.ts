/**
 * The shape of a settings table. One table per scope (broker, topic, producer, consumer) is the single place where a
 * setting's name, type, default, bounds and text live; parsing, validation, DescribeConfigs and `--help` all read it.
 * Names outside are Kafka's dotted names; ours start with `pagelog.`.
 */
import { PagelogError } from './errors.ts'

export type SettingType = 'boolean' | 'int' | 'long' | 'double' | 'string' | 'list'
export type SettingValue = boolean | number | string | readonly string[]

export interface Setting<V extends SettingValue = SettingValue> {
  /** Kafka's dotted name, for example `log.segment.bytes`. */
  readonly name: string
  readonly type: SettingType
  readonly default: V
  /** The text of a default too large for a number, e.g. `9223372036854775807`; shown by DescribeConfigs. */
  readonly defaultText?: string
  readonly min?: number
  readonly max?: number
  readonly oneOf?: readonly string[]
  /** Between the bounds, and not allowed all the same. */
  readonly noneOf?: readonly number[]
  /** Never shown to anybody. */
  readonly isSecret?: boolean
  readonly doc: string
}

/** camelCase name inside -> setting. */
export type SettingsTable = Readonly<Record<string, Setting>>

type Widen<V> = V extends boolean ? boolean : V extends number ? number : V extends string ? string : V
export type SettingsOf<T extends SettingsTable> = { readonly [K in keyof T]: Widen<T[K]['default']> }
/** Some of them, as a program gives them: undefined counts as left out, a list may be its text, `compact,delete`. */
export type GivenSettings<T extends SettingsTable> = {
  readonly [K in keyof T]?:
    | Widen<T[K]['default']>
    | (T[K]['default'] extends readonly string[] ? string : never)
    | undefined
}

/** The defaults of a table, as an object by inside name. */
export function defaultsOf<T extends SettingsTable>(table: T): SettingsOf<T> {
  return Object.fromEntries(Object.entries(table).map(([key, setting]) => [key, setting.default])) as SettingsOf<T>
}

/** Parses and checks one text value. Throws PAGELOG_INVALID_SETTING naming the setting and what it allows. */
export function parseSetting(setting: Setting, text: string): SettingValue {
  const trimmed = text.trim()
  switch (setting.type) {
    case 'boolean':
      if (/^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true'
      throw refuse(setting, text, 'true or false')
    case 'int':
    case 'long': {
      if (!/^[+-]?\d+$/.test(trimmed)) throw refuse(setting, text, 'a whole number')
      return checkSetting(setting, saturate(Number(trimmed)))
    }
    case 'double': {
      const value = Number(trimmed)
      if (trimmed === '' || !Number.isFinite(value)) throw refuse(setting, text, 'a number')
      return checkSetting(setting, value)
    }
    case 'list':
      return checkSetting(setting, trimmed === '' ? [] : trimmed.split(',').map((item) => item.trim()))
    case 'string':
      return checkSetting(setting, trimmed)
  }
}

/** Checks a typed value against bounds and choices; returns it. Throws PAGELOG_INVALID_SETTING. */
export function checkSetting<V extends SettingValue>(setting: Setting, value: V): V {
  if (typeof value === 'number') {
    const low = setting.min ?? (setting.type === 'int' ? -2147483648 : Number.MIN_SAFE_INTEGER)
    const high = setting.max ?? (setting.type === 'int' ? 2147483647 : Number.MAX_SAFE_INTEGER)
    const whole = setting.type === 'double' ? !Number.isNaN(value) : Number.isInteger(value)
    const allowed = `${low} to ${high}${setting.noneOf ? ` without ${setting.noneOf.join(', ')}` : ''}`
    if (!whole || value < low || value > high || setting.noneOf?.includes(value)) {
      throw refuse(setting, String(value), allowed)
    }
  }
  if (setting.oneOf && typeof value !== 'number' && typeof value !== 'boolean') {
    const items: readonly string[] = typeof value === 'string' ? [value] : value
    const wrong = items.find((item) => !setting.oneOf!.includes(item))
    if (wrong !== undefined) throw refuse(setting, wrong, setting.oneOf.join(', '))
  }
  return value
}

/** Fills `given` (inside names) up with defaults and checks every value. Unknown names are refused. */
export function resolveSettings<T extends SettingsTable>(table: T, given: GivenSettings<T> = {}): SettingsOf<T> {
  const resolved: Record<string, SettingValue> = { ...defaultsOf(table) }
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue
    const setting = table[key]
    if (!setting)
      throw new PagelogError('PAGELOG_INVALID_SETTING', `unknown setting ${key}${hint(key, Object.keys(table))}`)
    resolved[key] = Array.isArray(setting.default) ? listOf(setting, value) : scalarOf(setting, value)
  }
  return resolved as SettingsOf<T>
}

function scalarOf(setting: Setting, value: unknown): SettingValue {
  const expected = typeof setting.default
  if (typeof value !== expected) throw refuse(setting, String(value), `a ${expected}`)
  return checkSetting(setting, value as SettingValue)
}

function listOf(setting: Setting, value: unknown): SettingValue {
  if (typeof value === 'string') return parseSetting(setting, value)
  const isList = Array.isArray(value) && value.every((item) => typeof item === 'string')
  if (!isList) throw refuse(setting, String(value), 'a list of texts')
  return checkSetting(setting, value)
}

/** `over` on top of `under`; what is undefined in it counts as left out. */
export function overlaid<T extends object>(under: T, over: object): T {
  return { ...under, ...Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined)) }
}

/** How a value is written in a properties file and by DescribeConfigs. */
export function formatSetting(setting: Setting, value: SettingValue): string {
  if (value === setting.default && setting.defaultText !== undefined) return setting.defaultText
  return Array.isArray(value) ? value.join(',') : String(value)
}

/** `, did you mean X?` for the nearest name, or an empty text when none is near. */
export function hint(name: string, known: readonly string[]): string {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(name, candidate)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best === undefined ? '' : `, did you mean ${best}?`
}

function saturate(value: number): number {
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
}

function refuse(setting: Setting, value: string, allowed: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_SETTING', `${setting.name}=${value}: allowed is ${allowed}`)
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, substitution))
    }
    previous = row
  }
  return previous[b.length]!
}
