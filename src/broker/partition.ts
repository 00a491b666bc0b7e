/** A partition with the settings that a broker has for its topic. */
import type { Partition as ReplicatedPartition } from '../replication/index.ts'
import type { TopicSettings } from './topic-settings.ts'

export type Partition = ReplicatedPartition<TopicSettings>
