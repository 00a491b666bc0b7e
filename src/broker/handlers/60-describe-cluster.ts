/**
 * DescribeCluster, versions 0 - 2. Asked for controllers (endpoint type 2) a broker answers MISMATCHED_ENDPOINT_TYPE.
 * A broker that is fenced is not registered, so there are none to be listed.
 */
import { ErrorCode } from '../../base/index.ts'
import { DescribeCluster } from '../../protocol/index.ts'
import { CLUSTER_OPERATIONS, controllerOf, describedBrokers, NOT_ASKED } from '../described-brokers.ts'
import { handler } from '../handler.ts'

const BROKERS = 1
const CONTROLLERS = 2

export const describeCluster = handler({
  api: DescribeCluster,
  handle({ body, version }, _session, broker) {
    const { endpointType } = body
    const { clusterId } = broker
    if (version > 0 && endpointType !== BROKERS) {
      const errorCode =
        endpointType === CONTROLLERS ? ErrorCode.MISMATCHED_ENDPOINT_TYPE : ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
      return { errorCode, errorMessage: 'This is a broker.', endpointType, clusterId: '', brokers: [] }
    }
    return {
      errorCode: ErrorCode.NONE,
      endpointType: BROKERS,
      clusterId,
      controllerId: controllerOf(broker),
      brokers: describedBrokers(broker).map(({ id: brokerId, ...rest }) => ({ brokerId, ...rest })),
      clusterAuthorizedOperations: body.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : NOT_ASKED,
    }
  },
})
