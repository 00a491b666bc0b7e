/**
 * ApiVersions, versions 0 - 4. Tells what the table of handlers serves (Produce from 0 on, though 0 - 2 are refused:
 * KAFKA-18659). A version that is not served is answered by the dispatcher in a version 0 body with error 35 (KIP-511).
 * From version 3 on the client names its software; a name outside KIP-511's characters is refused with INVALID_REQUEST.
 * No features are finalized, so clients use transactions of the first kind.
 */
import { ErrorCode } from '../../base/index.ts'
import { ApiVersions, type ApiVersionsResponse, type Input } from '../../protocol/index.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler } from '../handler.ts'

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

export const apiVersions = handler({
  api: ApiVersions,
  handle({ body, version }, session, broker) {
    if (version >= 3) {
      const { clientSoftwareName, clientSoftwareVersion } = body
      if (!SOFTWARE.test(clientSoftwareName) || !SOFTWARE.test(clientSoftwareVersion)) {
        return { errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] }
      }
      session.softwareName = clientSoftwareName
      session.softwareVersion = clientSoftwareVersion
    }
    return { errorCode: ErrorCode.NONE, apiKeys: servedVersions(broker) }
  },
})

export function servedVersions(broker: BrokerFacade): Input<ApiVersionsResponse['apiKeys']> {
  return broker.handlers.map(({ api }) => ({
    apiKey: api.key,
    minVersion: api.advertisedMin,
    maxVersion: api.maxVersion,
  }))
}
