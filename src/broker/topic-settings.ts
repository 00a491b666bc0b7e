/**
 * The settings of a topic: those the log obeys, those the broker obeys, and those of Kafka that are known, checked,
 * stored and shown, but not obeyed yet (`pendingTopicSettings`; setting one warns). Each has the broker setting that
 * gives its default.
 */
import { defaultsOf, parseSetting, type Setting, type SettingsOf, type SettingValue } from '../base/index.ts'
import { type LogSettings, logSettings } from '../log/index.ts'

const NEVER = Number.MAX_SAFE_INTEGER
const NEVER_TEXT = '9223372036854775807'

const partitionSettings = {
  minInsyncReplicas: {
    name: 'min.insync.replicas',
    type: 'int',
    default: 1,
    min: 1,
    doc: 'A produce with acks=all is refused while fewer replicas than this are in sync.',
  },
  messageTimestampBeforeMaxMs: {
    name: 'message.timestamp.before.max.ms',
    type: 'long',
    default: NEVER,
    defaultText: NEVER_TEXT,
    min: 0,
    doc: 'A batch with a record older than this at its arrival is refused. Anything but the default costs a walk over every record.',
  },
  messageTimestampAfterMaxMs: {
    name: 'message.timestamp.after.max.ms',
    type: 'long',
    default: 3600000,
    min: 0,
    doc: "A batch whose newest record is further ahead of the broker's clock than this is refused.",
  },
  uncleanLeaderElectionEnable: {
    name: 'unclean.leader.election.enable',
    type: 'boolean',
    default: false,
    doc: 'Whether a replica that may lack acknowledged records can become leader when no other is left.',
  },
} as const

const compressionSettings = {
  compressionType: {
    name: 'compression.type',
    type: 'string',
    default: 'producer',
    oneOf: ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer'],
    doc: 'The codec that batches are stored in; producer leaves them as they were sent. Batches in another codec are decompressed and compressed again, in a worker thread.',
  },
} as const

/** Known, checked and shown; not obeyed yet. */
const laterSettings = {
  followerReplicationThrottledReplicas: {
    name: 'follower.replication.throttled.replicas',
    type: 'list',
    default: [] as readonly string[],
    doc: 'Replicas whose copying is throttled on the follower, as partition:broker.',
  },
  leaderReplicationThrottledReplicas: {
    name: 'leader.replication.throttled.replicas',
    type: 'list',
    default: [] as readonly string[],
    doc: 'Replicas whose copying is throttled on the leader, as partition:broker.',
  },
  localRetentionBytes: {
    name: 'local.retention.bytes',
    type: 'long',
    default: -2,
    min: -2,
    doc: 'Bytes kept on this disk of a topic in tiered storage; -2 takes retention.bytes.',
  },
  localRetentionMs: {
    name: 'local.retention.ms',
    type: 'long',
    default: -2,
    min: -2,
    doc: 'Time kept on this disk of a topic in tiered storage; -2 takes retention.ms.',
  },
  remoteLogCopyDisable: {
    name: 'remote.log.copy.disable',
    type: 'boolean',
    default: false,
    doc: 'Stops copying a topic to tiered storage.',
  },
  remoteLogDeleteOnDisable: {
    name: 'remote.log.delete.on.disable',
    type: 'boolean',
    default: false,
    doc: 'Whether the remote part of a topic goes when tiered storage is switched off for it.',
  },
  remoteStorageEnable: {
    name: 'remote.storage.enable',
    type: 'boolean',
    default: false,
    doc: 'Whether a topic is kept in tiered storage.',
  },
} as const

export const topicSettings = { ...logSettings, ...partitionSettings, ...compressionSettings, ...laterSettings } as const
export type TopicSettings = SettingsOf<typeof topicSettings>
export type TopicSettingKey = keyof typeof topicSettings

/** Inside names of the settings that are stored and shown, but not obeyed yet. */
export const pendingTopicSettings: ReadonlySet<string> = new Set(Object.keys(laterSettings))

/** Kafka's name -> inside name. */
const keysByName = new Map<string, TopicSettingKey>(
  Object.entries(topicSettings).map(([key, setting]) => [setting.name, key as TopicSettingKey]),
)

export const topicSettingNames: readonly string[] = [...keysByName.keys()]

export function topicSettingKey(name: string): TopicSettingKey | undefined {
  return keysByName.get(name)
}

/** As `parseSetting`. Throws PAGELOG_INVALID_SETTING. */
export function parseTopicSetting(key: TopicSettingKey, text: string): SettingValue {
  const setting: Setting = topicSettings[key]
  return parseSetting(setting, text)
}

/** The settings in force for a topic: its own over the broker's defaults. Its own were checked when they were stored. */
export function effectiveTopicSettings(
  defaults: TopicSettings,
  configs: Readonly<Record<string, string>>,
): TopicSettings {
  const settings: Record<string, SettingValue> = { ...defaults }
  for (const [name, text] of Object.entries(configs)) {
    const key = keysByName.get(name)
    if (key) settings[key] = parseTopicSetting(key, text)
  }
  return settings as unknown as TopicSettings
}

/** The part of a topic's settings that its logs take. */
export function logSettingsOf(settings: TopicSettings): LogSettings {
  return Object.fromEntries(
    Object.keys(logSettings).map((key) => [key, settings[key as keyof LogSettings]]),
  ) as LogSettings
}

export const topicDefaults: TopicSettings = defaultsOf(topicSettings)
