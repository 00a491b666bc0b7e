/**
 * protocol: Kafka's messages as tables (`apis/`, one file per API, every version) and the codecs compiled from them.
 *
 * Asking side: `encodeRequest(Fetch, 13, correlationId, clientId, body)`, then `decodeResponse(Fetch, 13, frame)`.
 * Answering side: `decodeRequestHeader(frame)`, `apiOf(apiKey)`, `supports(api, apiVersion)`, `decodeRequest(api,
 * apiVersion, frame)`, then `encodeResponse(api, apiVersion, correlationId, body)`.
 * Frames given to decoders are without their 4-byte length, those that encoders make have it. Decoded byte fields are
 * views into the frame. Bytes that are no such message: PAGELOG_PROTOCOL; a version outside the table: PAGELOG_UNSUPPORTED.
 */
export { type Api, type RequestOf, type ResponseOf, supports } from './api.ts'
export { Produce, type ProduceRequest, type ProduceResponse } from './apis/00-produce.ts'
export { Fetch, type FetchRequest, type FetchResponse } from './apis/01-fetch.ts'
export { ListOffsets, type ListOffsetsRequest, type ListOffsetsResponse } from './apis/02-list-offsets.ts'
export { Metadata, type MetadataRequest, type MetadataResponse } from './apis/03-metadata.ts'
export {
  FindCoordinator,
  type FindCoordinatorRequest,
  type FindCoordinatorResponse,
} from './apis/10-find-coordinator.ts'
export { ApiVersions, type ApiVersionsRequest, type ApiVersionsResponse } from './apis/18-api-versions.ts'
export { CreateTopics, type CreateTopicsRequest, type CreateTopicsResponse } from './apis/19-create-topics.ts'
export { DeleteTopics, type DeleteTopicsRequest, type DeleteTopicsResponse } from './apis/20-delete-topics.ts'
export { InitProducerId, type InitProducerIdRequest, type InitProducerIdResponse } from './apis/22-init-producer-id.ts'
export {
  OffsetForLeaderEpoch,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse,
} from './apis/23-offset-for-leader-epoch.ts'
export {
  DescribeConfigs,
  type DescribeConfigsRequest,
  type DescribeConfigsResponse,
} from './apis/32-describe-configs.ts'
export {
  CreatePartitions,
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
} from './apis/37-create-partitions.ts'
export { ElectLeaders, type ElectLeadersRequest, type ElectLeadersResponse } from './apis/43-elect-leaders.ts'
export {
  DescribeCluster,
  type DescribeClusterRequest,
  type DescribeClusterResponse,
} from './apis/60-describe-cluster.ts'
export { allApis, apiOf } from './catalog.ts'
export {
  correlationIdOf,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  type RequestHeader,
} from './envelope.ts'
export type { Input, Part, Region, Spliced } from './part.ts'
export { ZERO_UUID } from './schema.ts'
