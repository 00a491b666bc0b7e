/** base: assertions, the error families, Kafka's error-code table, the settings-table type, what is local. Imports nothing. */
export { assert, InvariantError, surfaceInvariant } from './assert.ts'
export { ErrorCode, type ErrorName, errorOf, type KafkaError, kafkaErrors } from './error-codes.ts'
export { type ErrorFields, hasCode, type OperatingErrorCode, PagelogError } from './errors.ts'
export { type Logger, silentLogger } from './logger.ts'
export { isLoopback } from './loopback.ts'
export { Mutex } from './mutex.ts'
export {
  checkSetting,
  defaultsOf,
  formatSetting,
  type GivenSettings,
  hint,
  overlaid,
  parseSetting,
  resolveSettings,
  type Setting,
  type SettingsOf,
  type SettingsTable,
  type SettingType,
  type SettingValue,
} from './settings.ts'
