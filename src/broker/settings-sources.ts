/**
 * Where broker settings come from, the strongest first: command line, environment (`KAFKA_LOG_SEGMENT_BYTES` for
 * `log.segment.bytes`, `PAGELOG_CLUSTER_ID` for `pagelog.cluster.id`), server.properties, default.
 */
import { hint, PagelogError, parseSetting, type Setting, type SettingValue } from '../base/index.ts'
import { pendingBrokerSettings } from './pending-settings.ts'
import { type BrokerSettings, brokerSettings } from './settings.ts'

export interface SettingsSources {
  /** Dotted name -> text, from a properties file. */
  readonly file?: ReadonlyMap<string, string>
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Dotted name -> text. */
  readonly commandLine?: ReadonlyMap<string, string>
}

export interface ReadSettings {
  /** Only what was given, by inside name. */
  readonly settings: Partial<BrokerSettings>
  /** One line each, to be logged. */
  readonly warnings: readonly string[]
}

/** Other names that Kafka has for one of our settings; a number is multiplied into our unit. The stronger name first. */
const aliases: readonly { readonly name: string; readonly of: string; readonly times?: number }[] = [
  { name: 'broker.id', of: 'node.id' },
  { name: 'log.roll.hours', of: 'log.roll.ms', times: 3600000 },
  { name: 'log.roll.jitter.hours', of: 'log.roll.jitter.ms', times: 3600000 },
  { name: 'log.retention.minutes', of: 'log.retention.ms', times: 60000 },
  { name: 'log.retention.hours', of: 'log.retention.ms', times: 3600000 },
]
const directoryAlias = { name: 'log.dirs', of: 'log.dir' }

/** KRaft's own wiring; a single broker is both, so it says nothing to us and warns of nothing. */
const silent: ReadonlySet<string> = new Set(['process.roles'])

const byName = new Map<string, { key: string; setting: Setting }>(
  Object.entries(brokerSettings).map(([key, setting]) => [setting.name, { key, setting: setting as Setting }]),
)
const knownNames: readonly string[] = [
  ...byName.keys(),
  ...pendingBrokerSettings,
  ...aliases.map((alias) => alias.name),
  directoryAlias.name,
  ...silent,
]
const nameByVariable = new Map(knownNames.map((name) => [variableOf(name), name]))

/** Parses every source. Error: PAGELOG_INVALID_SETTING for a value that is not allowed; unknown names only warn. */
export function readSettings(sources: SettingsSources): ReadSettings {
  const warnings: string[] = []
  const settings: Record<string, SettingValue> = {}
  for (const given of [sources.file, fromEnvironment(sources.environment ?? {}, warnings), sources.commandLine]) {
    if (given) Object.assign(settings, readOne(given, warnings))
  }
  return { settings: settings as Partial<BrokerSettings>, warnings }
}

function readOne(given: ReadonlyMap<string, string>, warnings: string[]): Record<string, SettingValue> {
  const settings: Record<string, SettingValue> = {}
  for (const [name, text] of translateAliases(given)) {
    const known = byName.get(name)
    if (known) settings[known.key] = parseSetting(known.setting, text)
    else if (pendingBrokerSettings.has(name)) warnings.push(`setting ${name} is not honoured yet`)
    else if (!silent.has(name)) warnings.push(`unknown setting ${name}${hint(name, knownNames)}`)
  }
  return settings
}

/** The direct name wins over its aliases, as in Kafka; `log.dirs` wins over `log.dir`, also as in Kafka. */
function translateAliases(given: ReadonlyMap<string, string>): Map<string, string> {
  const names = new Map(given)
  for (const { name, of, times } of aliases) {
    const text = names.get(name)
    if (text === undefined) continue
    names.delete(name)
    if (names.has(of)) continue
    names.set(of, times === undefined || !/^\d+$/.test(text.trim()) ? text : String(Number(text) * times))
  }
  const directories = names.get(directoryAlias.name)
  if (directories !== undefined) {
    if (directories.includes(',')) {
      throw new PagelogError('PAGELOG_INVALID_SETTING', `log.dirs=${directories}: one directory is supported yet`)
    }
    names.delete(directoryAlias.name)
    names.set(directoryAlias.of, directories)
  }
  return names
}

/** Other programs have KAFKA_ variables of their own (KAFKA_HEAP_OPTS …): only one that nearly is a setting warns. */
function fromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  warnings: string[],
): Map<string, string> {
  const found = new Map<string, string>()
  for (const [variable, text] of Object.entries(environment)) {
    if (text === undefined) continue
    const name = nameByVariable.get(variable)
    if (name !== undefined) found.set(name, text)
    else if (variable.startsWith('KAFKA_')) {
      const near = hint(variable, [...nameByVariable.keys()])
      if (near !== '' && !/_(?:OPTS|HOME|DIR|ARGS|VERSION)$/.test(variable)) {
        warnings.push(`unknown variable ${variable}${near}`)
      }
    }
  }
  return found
}

function variableOf(name: string): string {
  const upper = name.toUpperCase().replaceAll('.', '_')
  return upper.startsWith('PAGELOG_') ? upper : `KAFKA_${upper}`
}
