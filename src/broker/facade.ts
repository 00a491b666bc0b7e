/** What a handler may see of the broker: the small typed face that the wiring in `broker.ts` fills. */
import type { Logger } from '../base/index.ts'
import type { Clock, LoopSampler, Random } from '../env/index.ts'
import type { ClusterImage } from '../metadata/index.ts'
import type { FetchSessions, Partitions } from '../replication/index.ts'
import type { FetchPurgatory } from './delayed-fetch.ts'
import type { RegisteredHandler } from './handler.ts'
import type { Membership } from './membership.ts'
import type { BrokerCounters } from './metrics.ts'
import type { ProducerIds } from './producer-ids.ts'
import type { RecordInspector } from './record-inspector.ts'
import type { Refusals } from './refusals.ts'
import type { BrokerSettings } from './settings.ts'
import type { TopicSettings } from './topic-settings.ts'
import type { Topics } from './topics.ts'

export interface BrokerFacade {
  readonly nodeId: number
  readonly clusterId: string
  /** Where clients are told to connect. */
  readonly advertised: { readonly host: string; readonly port: number }
  readonly settings: BrokerSettings
  /** Inside names of the settings that somebody gave; the others are defaults. */
  readonly explicitSettings: ReadonlySet<string>
  readonly topicDefaults: TopicSettings
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly counters: BrokerCounters
  readonly refusals: Refusals
  readonly handlers: readonly RegisteredHandler[]
  /** This broker's standing in the cluster, and the controller. */
  readonly membership: Membership
  /** Topics, partitions and brokers as the cluster agreed on them. */
  readonly image: ClusterImage
  /** The partitions of which this broker has replicas. */
  readonly partitions: Partitions<TopicSettings>
  readonly fetchSessions: FetchSessions
  /** Creates and deletes topics. */
  readonly topics: Topics
  readonly producerIds: ProducerIds
  /** Looks into compressed batches. */
  readonly inspector: RecordInspector
  readonly fetchPurgatory: FetchPurgatory
  /** Of the event loop; undefined where nobody measures it. */
  readonly sampler: LoopSampler | undefined
}
