/** Settings as DescribeConfigs and CreateTopics show them: value, where it comes from, what else was considered. */
import { formatSetting, type Setting, type SettingType } from '../base/index.ts'
import type { BrokerFacade } from './facade.ts'
import { brokerKeyOfTopicSetting, brokerSettings } from './settings.ts'
import { topicSettings } from './topic-settings.ts'

/** Kafka's ConfigSource. */
const Source = { DYNAMIC_TOPIC: 1, STATIC_BROKER: 4, DEFAULT: 5 } as const
/** Kafka's ConfigType. */
const typeCodes: Readonly<Record<SettingType, number>> = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 }

interface Synonym {
  readonly name: string
  readonly value: string | null
  readonly source: number
}

export interface DescribedSetting {
  readonly name: string
  /** null: a secret. */
  readonly value: string | null
  readonly readOnly: boolean
  readonly source: number
  readonly isSensitive: boolean
  /** The strongest first. */
  readonly synonyms: readonly Synonym[]
  readonly type: number
  readonly doc: string
}

/** `configs` are the topic's own, by Kafka's name. */
export function describeTopicSettings(
  broker: BrokerFacade,
  configs: Readonly<Record<string, string>>,
): DescribedSetting[] {
  return Object.entries(topicSettings as Readonly<Record<string, Setting>>).map(([key, setting]) => {
    const brokerKey = (brokerKeyOfTopicSetting as Readonly<Record<string, string>>)[key]
    const synonyms = brokerKey === undefined ? [defaultOf(setting)] : brokerSynonyms(broker, brokerKey)
    const own = configs[setting.name]
    if (own !== undefined) synonyms.unshift({ name: setting.name, value: own, source: Source.DYNAMIC_TOPIC })
    return described(setting, synonyms, false)
  })
}

export function describeBrokerSettings(broker: BrokerFacade): DescribedSetting[] {
  return Object.entries(brokerSettings as Readonly<Record<string, Setting>>).map(([key, setting]) =>
    // None can be changed at run time yet.
    described(setting, brokerSynonyms(broker, key), true),
  )
}

function brokerSynonyms(broker: BrokerFacade, key: string): Synonym[] {
  const setting: Setting = (brokerSettings as Readonly<Record<string, Setting>>)[key]!
  if (!broker.explicitSettings.has(key)) return [defaultOf(setting)]
  const value = broker.settings[key as keyof typeof broker.settings]
  return [
    { name: setting.name, value: formatSetting(setting, value), source: Source.STATIC_BROKER },
    defaultOf(setting),
  ]
}

function defaultOf(setting: Setting): Synonym {
  return { name: setting.name, value: formatSetting(setting, setting.default), source: Source.DEFAULT }
}

function described(setting: Setting, given: readonly Synonym[], readOnly: boolean): DescribedSetting {
  const { name, doc, isSecret: isSensitive = false } = setting
  const synonyms = isSensitive ? given.map((synonym) => ({ ...synonym, value: null })) : given
  const { value, source } = synonyms[0]!
  return { name, value, readOnly, source, isSensitive, synonyms, type: typeCodes[setting.type], doc }
}
