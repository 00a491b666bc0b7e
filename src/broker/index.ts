/**
 * broker: a Kafka-compatible server over the log.
 *
 *   const broker = await Broker.start({ settings: { logDir: './data' }, logger })
 *   console.log(`clients connect to ${broker.host}:${broker.port}`)
 *   await broker.close()
 *
 * `handlers/` has one file per API, saying which versions are served and how. Settings have Kafka's names in
 * `brokerSettings`; `readSettings` merges command line, environment and server.properties.
 */
export { Broker, type BrokerOptions } from './broker.ts'
export type { BrokerMetrics } from './metrics.ts'
export { type BrokerSettings, brokerSettings } from './settings.ts'
export { type ReadSettings, readSettings, type SettingsSources } from './settings-sources.ts'
export { type TopicSettings, topicSettings } from './topic-settings.ts'
