/** Every API that has a table. */
import type { Api } from './api.ts'
import { Produce } from './apis/00-produce.ts'
import { Fetch } from './apis/01-fetch.ts'
import { ListOffsets } from './apis/02-list-offsets.ts'
import { Metadata } from './apis/03-metadata.ts'
import { FindCoordinator } from './apis/10-find-coordinator.ts'
import { ApiVersions } from './apis/18-api-versions.ts'
import { CreateTopics } from './apis/19-create-topics.ts'
import { DeleteTopics } from './apis/20-delete-topics.ts'
import { InitProducerId } from './apis/22-init-producer-id.ts'
import { OffsetForLeaderEpoch } from './apis/23-offset-for-leader-epoch.ts'
import { DescribeConfigs } from './apis/32-describe-configs.ts'
import { CreatePartitions } from './apis/37-create-partitions.ts'
import { ElectLeaders } from './apis/43-elect-leaders.ts'
import { DescribeCluster } from './apis/60-describe-cluster.ts'

/** In order of their keys. */
export const allApis: readonly Api[] = [
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  FindCoordinator,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  InitProducerId,
  OffsetForLeaderEpoch,
  DescribeConfigs,
  CreatePartitions,
  ElectLeaders,
  DescribeCluster,
]

const byKey: (Api | undefined)[] = []
for (const api of allApis) byKey[api.key] = api

/** The API with this key, or undefined: a key from the wire may be any number. */
export function apiOf(key: number): Api | undefined {
  return byKey[key]
}
