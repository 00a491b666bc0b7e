/**
 * A follower whose end lies outside of its leader's log: the leader is asked where that begins and ends. Below: nothing
 * joins any more, so the follower begins anew where the leader's log begins. Above: a leader that was elected uncleanly
 * has less; what is beyond goes, and with it the whole log where that begins beyond.
 */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { AskingConnection } from '../net/index.ts'
import { ListOffsets } from '../protocol/index.ts'
import type { Partition } from './partition.ts'

const LATEST = -1
const EARLIEST = -2
/** The highest that has nothing which only clients need. */
const VERSION_MAX = 9

export interface OutOfRangeContext {
  readonly nodeId: number
  readonly logger: Logger
  restartLog(partition: Partition, epoch: number, offset: number): Promise<void>
}

export class OutOfRange {
  readonly #context: OutOfRangeContext

  constructor(context: OutOfRangeContext) {
    this.#context = context
  }

  /** The follower's log then joins its leader's, or the next fetch says what is wrong with it. */
  async resolve(connection: AskingConnection, partition: Partition, epoch: number): Promise<void> {
    const start = await this.#ask(connection, partition, epoch, EARLIEST)
    const end = await this.#ask(connection, partition, epoch, LATEST)
    const { logStartOffset, logEndOffset } = partition.log
    const { topic, index } = partition
    if (logEndOffset < start) {
      this.#context.logger.warn(
        { topic, partition: index, logEndOffset, start },
        'a follower begins anew: its leader has trimmed more',
      )
      await this.#context.restartLog(partition, epoch, start)
    } else if (logStartOffset > end) {
      this.#context.logger.warn(
        { topic, partition: index, logStartOffset, end },
        'a follower begins anew: its leader, which was elected uncleanly, ends before it begins',
      )
      await this.#context.restartLog(partition, epoch, start)
    } else if (logEndOffset > end) {
      await partition.truncateTo(epoch, end)
    }
  }

  async #ask(connection: AskingConnection, partition: Partition, epoch: number, timestamp: number): Promise<number> {
    const { topic: name, index: partitionIndex } = partition
    const partitions = [{ partitionIndex, currentLeaderEpoch: epoch, timestamp }]
    const request = { replicaId: this.#context.nodeId, topics: [{ name, partitions }] }
    const version = connection.versionOf(ListOffsets, VERSION_MAX)
    const { body, release } = await connection.ask(ListOffsets, request, { version })
    const found = body.topics[0]?.partitions[0]
    release()
    const errorCode = found?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
    if (found !== undefined && errorCode === ErrorCode.NONE) return found.offset
    const message = `the leader does not tell its offsets: ${errorOf(errorCode).name}`
    throw new PagelogError('PAGELOG_BROKER', message, { kafkaCode: errorCode, retriable: true })
  }
}
