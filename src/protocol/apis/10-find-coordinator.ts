/**
 * FindCoordinator: the broker in charge of a group (key type 0) or a transactional id (1); share groups (2) from 6 on.
 * 1 key type, throttle time, message · 3 flexible · 4 several keys at once (KIP-699) · 5 error 120 · 6 share groups.
 */
import { api, type RequestOf, type ResponseOf } from '../api.ts'
import { arrayOf } from '../schema.ts'

export const FindCoordinator = api(
  { key: 10, name: 'FindCoordinator', versions: [0, 6], flexibleFrom: 3 },
  {
    key: 'string @0-3',
    keyType: 'int8 @1+',
    coordinatorKeys: 'string[] @4+',
  },
  {
    throttleTimeMs: 'int32 @1+',
    errorCode: 'int16 @0-3',
    errorMessage: 'string? @1-3',
    nodeId: 'int32 @0-3',
    host: 'string @0-3',
    port: 'int32 @0-3',
    coordinators: arrayOf(
      {
        key: 'string',
        nodeId: 'int32',
        host: 'string',
        port: 'int32',
        errorCode: 'int16',
        errorMessage: 'string?',
      },
      '@4+',
    ),
  },
)
export type FindCoordinatorRequest = RequestOf<typeof FindCoordinator>
export type FindCoordinatorResponse = ResponseOf<typeof FindCoordinator>
