/**
 * ApiVersions: the first request on a connection. Its response header is version 0 in every version, and a version that
 * the broker does not know is answered with error 35 in a version 0 body (KIP-511): the client cannot know better yet.
 * 1 throttle time · 3 flexible, client software, features (KIP-584) · 4 a supported feature may start at 0.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const ApiVersions = api(
  { key: 18, name: 'ApiVersions', versions: [0, 4], flexibleFrom: 3 },
  {
    clientSoftwareName: 'string @3+',
    clientSoftwareVersion: 'string @3+',
  },
  {
    errorCode: 'int16',
    apiKeys: arrayOf({ apiKey: 'int16', minVersion: 'int16', maxVersion: 'int16' }),
    throttleTimeMs: 'int32 @1+',
    supportedFeatures: arrayOf({ name: 'string', minVersion: 'int16', maxVersion: 'int16' }, '@3+ #0'),
    finalizedFeaturesEpoch: 'int64 @3+ #1 =-1',
    finalizedFeatures: arrayOf({ name: 'string', maxVersionLevel: 'int16', minVersionLevel: 'int16' }, '@3+ #2'),
    zkMigrationReady: 'bool @3+ #3',
  },
)
export type ApiVersionsRequest = RequestOf<typeof ApiVersions>
export type ApiVersionsResponse = ResponseOf<typeof ApiVersions>
