/**
 * FindCoordinator, versions 0 - 6; several keys at once from 4 on.
 *
 * This broker has no group and no transaction coordinator yet, and answers COORDINATOR_NOT_AVAILABLE (15) for groups
 * (0) and transactional ids (1). It could have named itself, or have said UNSUPPORTED_VERSION; what real clients do:
 * - kcat -C, the Java console consumer with --partition, sarama's partition consumer: never ask.
 * - librdkafka and Java consumers with a group id but assigned partitions: ask in the background. With 15 they ask again
 *   later and fetch on undisturbed; with 35 librdkafka hands its application an error each time, and with a coordinator
 *   named they would send OffsetFetch, which we do not serve.
 * - clients that want a group: with 15 they keep asking and log why. Named a coordinator, those that do not look at
 *   ApiVersions (kafka-go's Conn, older sarama) send JoinGroup, and its closed connection makes them reconnect for ever.
 * Share groups (key type 2) exist from version 6 on; before it, and for any other type, the answer is INVALID_REQUEST.
 */
import { ErrorCode } from '../../base/index.ts'
import { FindCoordinator } from '../../protocol/index.ts'
import { handler } from '../handler.ts'

const GROUP = 0
const TRANSACTION = 1
const SHARE = 2
const nobody = { nodeId: -1, host: '', port: -1 }

export const findCoordinator = handler({
  api: FindCoordinator,
  handle({ body, version }) {
    const answer = { ...nobody, ...refusalOf(body.keyType, version) }
    if (version < 4) return answer
    return { coordinators: body.coordinatorKeys.map((key) => ({ key, ...answer })) }
  },
})

function refusalOf(keyType: number, version: number): { errorCode: number; errorMessage: string } {
  if (keyType === GROUP || keyType === TRANSACTION) {
    const what = keyType === GROUP ? 'consumer groups' : 'transactions'
    return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage: `This broker has no ${what} yet.` }
  }
  if (keyType === SHARE && version >= 6) {
    return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage: 'This broker has no share groups.' }
  }
  return { errorCode: ErrorCode.INVALID_REQUEST, errorMessage: `There is no coordinator of type ${keyType}.` }
}
