/**
 * Produce, versions 3 - 13 (0 - 2 are advertised for old librdkafka and close the connection, as in Kafka).
 * Every partition is checked and appended on its own and has its own error; the answer leaves when the last append has
 * settled. With acks=all that is when the in-sync replicas have it (delayed-produce.ts), on one replica at once, as with
 * acks=1. acks=0 has no answer, and an error closes the connection. Who does not lead says who does (KIP-951).
 * acks=1 and acks=0 wait where the followers in sync are too far behind (`pagelog.replica.lag.max.bytes`), which then stops
 * the reading of their connection, and succeed all the same: at half of the request's time, before its client gives it up.
 * A request that names a transactional id is answered as Kafka does while no transaction coordinator can be reached.
 * Topics by name up to version 12, by id from 13 on.
 *
 * The records of a batch may have to be inspected first, which can take a worker thread and a while: batches of one
 * partition are appended in the order in which they came all the same.
 *
 * The frame stays until every append is written: the log writes from its bytes. It does not stay until they are
 * replicated, or memory of all connections would wait for followers.
 */
import { ErrorCode, PagelogError } from '../../base/index.ts'
import type { AppendResult } from '../../log/index.ts'
import { type Input, Produce, type ProduceRequest, type ProduceResponse } from '../../protocol/index.ts'
import { ATTRIBUTES_AT, crc32c, isTransactional, maxTimestamp, setCrc, setMaxTimestamp } from '../../record/index.ts'
import { checkProducedRecords } from '../batch-check.ts'
import { DelayedProduce } from '../delayed-produce.ts'
import type { BrokerFacade } from '../facade.ts'
import { handler, type Reply, type Request } from '../handler.ts'
import { inspectionRules, isInspected } from '../inspection-rules.ts'
import { type LeaderHint, LeaderHints, missingPartition } from '../leader-hints.ts'
import type { Partition } from '../partition.ts'
import type { BatchVerdict, Inspection } from '../record-inspection.ts'
import type { Session } from '../session.ts'

type TopicData = ProduceRequest['topicData'][number]
type PartitionData = TopicData['partitionData'][number]

interface PartitionAnswer {
  index: number
  errorCode: number
  baseOffset: number
  logAppendTimeMs: number
  logStartOffset: number
  currentLeader?: LeaderHint
  errorMessage: string | null
  recordErrors: readonly { readonly batchIndex: number; readonly batchIndexErrorMessage: string | null }[]
}

const noRecordErrors: PartitionAnswer['recordErrors'] = []

export const produce = handler({
  api: Produce,
  keepsFrame: true,
  handle: (request, session, broker) => new ProduceCall(request, session, broker).run(),
})

class ProduceCall {
  readonly #request: Request<ProduceRequest>
  readonly #session: Session
  readonly #broker: BrokerFacade
  readonly #hints: LeaderHints
  /** Appends under way, and one more while partitions are still being walked. */
  #appending = 1
  /** The same, and what is written and waits for followers. */
  #pending = 1
  #replicating: DelayedProduce | undefined
  readonly #responses: { name: string; topicId: string; partitionResponses: PartitionAnswer[] }[] = []
  #refused: { topic: string; partition: number; errorCode: number; message: string | null } | undefined
  #refusedCount = 0
  #settle: ((reply: Reply<ProduceResponse>) => void) | undefined
  #fail: ((error: unknown) => void) | undefined

  constructor(request: Request<ProduceRequest>, session: Session, broker: BrokerFacade) {
    this.#request = request
    this.#session = session
    this.#broker = broker
    this.#hints = new LeaderHints(broker)
  }

  /** Synchronous up to and including every append or its turn, so that batches of one connection keep their order. */
  run(): Reply<ProduceResponse> | Promise<Reply<ProduceResponse>> {
    try {
      const refusal = this.#refusalOfAll()
      for (const topic of this.#request.body.topicData) {
        const partitionResponses: PartitionAnswer[] = []
        this.#responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses })
        for (const data of topic.partitionData) partitionResponses.push(this.#partition(topic, data, refusal))
      }
    } catch (error) {
      // An invariant broke. The frame may be in use by appends, so it is not given back.
      return Promise.reject(error)
    }
    if (--this.#appending === 0) this.#request.frame.release()
    if (--this.#pending === 0) return this.#reply()
    return new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
    })
  }

  /** An error for every partition of the request, whatever is in it. */
  #refusalOfAll(): BatchVerdict | undefined {
    const { acks, transactionalId, topicData } = this.#request.body
    if (acks !== 0 && acks !== 1 && acks !== -1) {
      return { errorCode: ErrorCode.INVALID_REQUIRED_ACKS, message: `acks must be -1, 0 or 1, not ${acks}` }
    }
    if (transactionalId === null && topicData.some((topic) => topic.partitionData.some(hasTransactionalBatch))) {
      return {
        errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        message: 'a transactional batch without a transactional id',
      }
    }
    return undefined
  }

  #partition(topic: TopicData, data: PartitionData, refusal: BatchVerdict | undefined): PartitionAnswer {
    const answer: PartitionAnswer = {
      index: data.index,
      errorCode: ErrorCode.NONE,
      baseOffset: -1,
      logAppendTimeMs: -1,
      logStartOffset: -1,
      errorMessage: null,
      recordErrors: noRecordErrors,
    }
    this.#broker.counters.produceBatches++
    const byId = this.#request.version >= 13
    const partition = byId
      ? this.#broker.partitions.findById(topic.topicId, data.index)
      : this.#broker.partitions.find(topic.name, data.index)
    const fault =
      refusal ?? (partition ? this.#check(partition, data) : unknownPartition(this.#broker, topic, data.index))
    if (fault) this.#refuse(answer, partition ?? topic, fault)
    else this.#admit(partition!, data.records!, answer)
    return answer
  }

  #check(partition: Partition, data: PartitionData): BatchVerdict | undefined {
    const { acks, transactionalId } = this.#request.body
    const { settings } = partition
    const { clock, settings: brokerSettings } = this.#broker
    const notHere = partition.checkLeader(-1)
    if (notHere !== ErrorCode.NONE) return { errorCode: notHere, message: null }
    const verdict = checkProducedRecords(data.records, settings, this.#request.version, clock, (codec) =>
      isInspected(codec, settings, brokerSettings.produceCheckCompressed),
    )
    if (verdict) return verdict
    if (transactionalId !== null && isTransactional(data.records!, 0)) {
      return {
        errorCode: ErrorCode.NOT_ENOUGH_REPLICAS,
        message: 'the transaction cannot be verified: this broker has no transaction coordinator yet',
      }
    }
    const errorCode = acks === -1 ? partition.refusalOfAll : ErrorCode.NONE
    if (errorCode === ErrorCode.NONE) return undefined
    const message = `${partition.inSyncCount} in sync, and ${partition.minIsr} have to be (min.insync.replicas)`
    return { errorCode, message }
  }

  /** What passed its check is inspected, if that is asked for, and appended when it is its turn. */
  #admit(partition: Partition, records: Uint8Array, answer: PartitionAnswer): void {
    this.#appending++
    this.#pending++
    this.#broker.counters.produceBytes += records.length
    // What follows a batch and is less than another one is not stored, as in Kafka.
    const size = sizeOfFirstBatch(records)
    const batch = size === records.length ? records : records.subarray(0, size)
    const inspection = this.#inspect(partition, batch)
    if (inspection instanceof Promise) {
      const turn = partition.appendOrder.enter()
      inspection.then(
        (found) => turn.take(() => this.#inspected(partition, batch, found, answer)),
        (error) => turn.take(() => this.#appendFailed(partition, error, answer)),
      )
    } else if (partition.appendOrder.isFree) {
      this.#inspected(partition, batch, inspection, answer)
    } else {
      partition.appendOrder.enter().take(() => this.#inspected(partition, batch, inspection, answer))
    }
  }

  #inspect(partition: Partition, batch: Uint8Array): Inspection | Promise<Inspection> | undefined {
    const { inspector, settings, clock } = this.#broker
    const given = { maxBytes: inspector.maxBytes, clock }
    const rules = inspectionRules(batch, partition.settings, settings.produceCheckCompressed, given)
    return rules && inspector.inspect(batch, rules)
  }

  #inspected(
    partition: Partition,
    batch: Uint8Array,
    inspection: Inspection | undefined,
    answer: PartitionAnswer,
  ): void {
    if (inspection?.verdict) {
      this.#refuse(answer, partition, inspection.verdict)
      this.#oneWritten()
      this.#oneSettled()
      return
    }
    // Another broker may lead by now.
    const notHere = partition.checkLeader(-1)
    if (notHere !== ErrorCode.NONE) {
      this.#refuse(answer, partition, { errorCode: notHere, message: null })
      this.#oneWritten()
      this.#oneSettled()
      return
    }
    const recoded = inspection?.batch
    const times = inspection?.maxTimestampMs
    // Readers find records by what the header says of their times.
    if (recoded === undefined && times !== undefined && times !== maxTimestamp(batch, 0)) {
      setMaxTimestamp(batch, 0, times)
      setCrc(batch, 0, crc32c(batch, ATTRIBUTES_AT, batch.length))
    }
    const { leaderEpoch } = partition
    const appending = partition.append(recoded ?? batch)
    if (recoded !== undefined) {
      const settled = (): void => this.#broker.inspector.recoded(recoded.length)
      appending.then(settled, settled)
    }
    appending.then(
      (result) => this.#appended(partition, leaderEpoch, result, answer),
      (error) => this.#appendFailed(partition, error, answer),
    )
  }

  #appended(partition: Partition, epoch: number, result: AppendResult, answer: PartitionAnswer): void {
    answer.baseOffset = result.baseOffset
    answer.logAppendTimeMs = result.logAppendTimeMs
    answer.logStartOffset = partition.log.logStartOffset
    if (result.duplicate) this.#broker.counters.produceBatchesDuplicate++
    this.#oneWritten()
    const isCommitted = result.lastOffset < partition.highWatermark && partition.leaderEpoch === epoch
    if (this.#request.body.acks === -1) {
      if (isCommitted) this.#oneSettled()
      else this.#awaitReplication(partition, epoch, result, answer)
      return
    }
    const place = partition.placeTooFarAhead
    if (place === undefined) this.#oneSettled()
    else this.#awaitFollowers(partition, epoch, place, answer)
  }

  #awaitFollowers(partition: Partition, epoch: number, place: number, answer: PartitionAnswer): void {
    const timeoutMs = this.#request.body.timeoutMs / 2
    this.#replicating ??= new DelayedProduce(this.#broker.clock, timeoutMs, ErrorCode.NONE)
    this.#replicating.waitForFollowers(partition, epoch, place, this.#settling(partition, answer))
  }

  #awaitReplication(partition: Partition, epoch: number, result: AppendResult, answer: PartitionAnswer): void {
    const { timeoutMs } = this.#request.body
    this.#replicating ??= new DelayedProduce(this.#broker.clock, timeoutMs, ErrorCode.REQUEST_TIMED_OUT)
    this.#replicating.wait(partition, epoch, result.lastOffset + 1, this.#settling(partition, answer))
  }

  #settling(partition: Partition, answer: PartitionAnswer): (errorCode: number) => void {
    return (errorCode) => {
      // It is written, so nobody may take it for refused: an answer without an offset says that nothing is known.
      if (errorCode !== ErrorCode.NONE) {
        answer.baseOffset = -1
        this.#refuse(answer, partition, { errorCode, message: null })
      }
      this.#oneSettled()
    }
  }

  #appendFailed(partition: Partition, error: unknown, answer: PartitionAnswer): void {
    const fault = faultOfAppend(partition, error)
    if (fault) {
      this.#refuse(answer, partition, fault)
    } else {
      this.#broker.logger.error({ topic: partition.topic, partition: partition.index, error }, 'an append failed')
      this.#refuse(answer, partition, { errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, message: null })
    }
    this.#oneWritten()
    this.#oneSettled()
  }

  /** Or refused. */
  #oneWritten(): void {
    if (--this.#appending === 0) this.#request.frame.release()
  }

  #oneSettled(): void {
    if (--this.#pending > 0) return
    this.#replicating?.end()
    try {
      this.#settle!(this.#reply())
    } catch (error) {
      this.#fail!(error)
    }
  }

  #refuse(answer: PartitionAnswer, of: { topic?: string; name?: string; topicId: string }, fault: BatchVerdict): void {
    const topic = of.topic ?? of.name ?? ''
    answer.errorCode = fault.errorCode
    const hint = this.#hints.hint(fault.errorCode, topic, of.topicId, answer.index)
    if (hint !== undefined) answer.currentLeader = hint
    answer.errorMessage = fault.message
    answer.recordErrors = fault.recordErrors ?? noRecordErrors
    this.#broker.counters.produceBatchesRefused++
    this.#refusedCount++
    this.#refused ??= { topic, partition: answer.index, errorCode: fault.errorCode, message: fault.message }
  }

  #reply(): Reply<ProduceResponse> {
    const { acks } = this.#request.body
    if (this.#refused) {
      const { remote, clientId } = this.#session
      const fields = { remote, clientId, api: 'Produce', acks, ...this.#refused, batches: this.#refusedCount }
      if (acks === 0) {
        throw new PagelogError('PAGELOG_BROKER', 'a produce with acks=0 was refused', {
          kafkaCode: this.#refused.errorCode,
          cause: fields,
        })
      }
      this.#broker.refusals.note(fields, 'refused a produce')
    }
    if (acks === 0) return null
    const { nodeEndpoints } = this.#hints
    if (nodeEndpoints.length === 0) return { responses: this.#responses } satisfies Input<ProduceResponse>
    return { responses: this.#responses, nodeEndpoints } satisfies Input<ProduceResponse>
  }
}

/** Only called after the check, which has compared this size with the bytes there are. */
function sizeOfFirstBatch(records: Uint8Array): number {
  return ((records[8]! << 24) | (records[9]! << 16) | (records[10]! << 8) | records[11]!) + 12
}

function hasTransactionalBatch(data: PartitionData): boolean {
  // The attributes end at byte 23; what is shorter is refused by the batch check.
  return (
    data.records !== null && data.records.length >= 23 && data.records[16] === 2 && isTransactional(data.records, 0)
  )
}

function unknownPartition(broker: BrokerFacade, topic: TopicData, index: number): BatchVerdict {
  const errorCode = missingPartition(broker, topic.name, topic.topicId, index)
  const isStorage = errorCode === ErrorCode.KAFKA_STORAGE_ERROR
  return { errorCode, message: isStorage ? 'the log of the partition could not be opened' : null }
}

/** What a failed append is on the wire; undefined for an error that nobody foresaw. */
function faultOfAppend(partition: Partition, error: unknown): BatchVerdict | undefined {
  if (!(error instanceof PagelogError)) return undefined
  if (error.kafkaCode !== undefined) return { errorCode: error.kafkaCode, message: error.message }
  if (partition.deleted) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message: null }
  switch (error.code) {
    case 'PAGELOG_DISK_FULL':
    case 'PAGELOG_STORAGE':
    case 'PAGELOG_CLOSED':
      return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, message: error.message }
    case 'PAGELOG_TOO_LARGE':
      return { errorCode: ErrorCode.RECORD_LIST_TOO_LARGE, message: error.message }
    default:
      return undefined
  }
}
