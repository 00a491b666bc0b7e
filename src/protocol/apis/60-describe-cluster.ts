/** DescribeCluster. 1 endpoint type (KIP-919) · 2 fenced brokers (KIP-1073). */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const DescribeCluster = api(
  { key: 60, name: 'DescribeCluster', versions: [0, 2], flexibleFrom: 0 },
  {
    includeClusterAuthorizedOperations: 'bool',
    endpointType: 'int8 @1+ =1',
    includeFencedBrokers: 'bool @2+',
  },
  {
    throttleTimeMs: 'int32',
    errorCode: 'int16',
    errorMessage: 'string?',
    endpointType: 'int8 @1+ =1',
    clusterId: 'string',
    controllerId: 'int32 =-1',
    brokers: arrayOf({ brokerId: 'int32', host: 'string', port: 'int32', rack: 'string?', isFenced: 'bool @2+' }),
    clusterAuthorizedOperations: 'int32 =-2147483648',
  },
)
export type DescribeClusterRequest = RequestOf<typeof DescribeCluster>
export type DescribeClusterResponse = ResponseOf<typeof DescribeCluster>
