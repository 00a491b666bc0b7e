/**
 * Looks whether the records that a consumer has read are still in the log when a partition has another leader (KIP-320).
 * After an unclean election they may not be: then the leader says where the log parts from what was read, and the
 * consumer goes on from there, or with auto.offset.reset=none stops. Otherwise it would go on at an offset that other
 * records have by now, and miss what came before it.
 */
import { ErrorCode, errorOf, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { OffsetForLeaderEpoch, type OffsetForLeaderEpochResponse } from '../protocol/index.ts'
import type { AssignedPartition } from './assignment.ts'
import { backoffMs, waitOut } from './backoff.ts'
import type { ClusterConnections } from './cluster-connections.ts'
import { isRetriedByConsumers } from './retried-errors.ts'
import type { ConsumerSettings } from './settings.ts'

/** A consumer, not a replica. */
const CONSUMER = -1

export interface PositionCheckOptions {
  readonly env: Pick<Env, 'clock' | 'random'>
  readonly cluster: ClusterConnections
  readonly settings: ConsumerSettings
  readonly logger: Logger
  /** Something was found out, or may be tried again. */
  onChange(): void
  /** What was read is still there, but its offset is out of range: the log begins later. */
  onOutOfRange(state: AssignedPartition): void
}

interface Checked {
  readonly state: AssignedPartition
  readonly seekEpoch: number
  readonly leaderEpoch: number
  readonly fetchEpoch: number
}

type Answer = OffsetForLeaderEpochResponse['topics'][number]['partitions'][number]
type Question = { topic: string; partitions: { partition: number; currentLeaderEpoch: number; leaderEpoch: number }[] }

export class PositionCheck {
  readonly #options: PositionCheckOptions

  constructor(options: PositionCheckOptions) {
    this.#options = options
  }

  /** Asks the leader `nodeId` about the partitions, which it leads in these epochs. */
  start(nodeId: number, states: readonly { readonly state: AssignedPartition; readonly leaderEpoch: number }[]): void {
    const checked = states.map(({ state, leaderEpoch }) => {
      state.checking = true
      return { state, leaderEpoch, seekEpoch: state.seekEpoch, fetchEpoch: state.fetchEpoch }
    })
    void this.#ask(nodeId, checked)
  }

  async #ask(nodeId: number, checked: readonly Checked[]): Promise<void> {
    const { cluster, logger } = this.#options
    const open = new Set(checked)
    try {
      const connection = cluster.open(nodeId) ?? (await cluster.connect(nodeId))
      const request = { replicaId: CONSUMER, topics: questionsOf(checked) }
      const { body, release } = await connection.ask(OffsetForLeaderEpoch, request)
      release()
      for (const { topic, partitions } of body.topics) {
        for (const answer of partitions) {
          const one = checked.find(({ state }) => state.topic === topic && state.partition === answer.partition)
          if (one === undefined || !open.delete(one)) continue
          one.state.checking = false
          if (one.state.isCurrent(one.seekEpoch)) this.#answered(one, answer)
        }
      }
    } catch (error) {
      if (error instanceof PagelogError && error.code === 'PAGELOG_UNSUPPORTED') {
        // The broker is too old to tell.
        for (const one of open) this.#isThere(one)
        open.clear()
      } else {
        logger.debug({ error, node: nodeId }, 'positions could not be checked')
        cluster.refresh()
      }
    }
    for (const { state } of open) this.#tryAgain(state)
    this.#options.onChange()
  }

  #answered(checked: Checked, { errorCode, leaderEpoch, endOffset }: Answer): void {
    const { state } = checked
    if (errorCode !== ErrorCode.NONE) {
      if (isRetriedByConsumers(errorCode)) {
        this.#options.cluster.refresh()
        this.#tryAgain(state)
      } else {
        const text = `${state.topic}-${state.partition}: ${errorOf(errorCode).name}`
        state.fault = new PagelogError('PAGELOG_BROKER', text, { kafkaCode: errorCode })
      }
      return
    }
    if (leaderEpoch < 0 || endOffset < 0) this.#isGone(state, -1, -1)
    else if (endOffset >= state.fetchOffset) this.#isThere(checked)
    else this.#isGone(state, leaderEpoch, endOffset)
  }

  #isThere({ state, leaderEpoch }: Checked): void {
    state.checking = false
    state.failures = 0
    state.checkedEpoch = leaderEpoch
    if (!state.outOfRange) return
    state.outOfRange = false
    this.#options.onOutOfRange(state)
  }

  /** The log parts from what was read at `endOffset`, in `epoch`; -1: the leader does not know where. */
  #isGone(state: AssignedPartition, epoch: number, endOffset: number): void {
    const { settings, logger } = this.#options
    const { topic, partition, position, fetchOffset } = state
    logger.warn({ topic, partition, position, fetchOffset, endOffset }, 'the log was truncated below what was read')
    if (endOffset >= position) {
      // What the application has is there; only what was fetched ahead is not.
      state.moveTo(position)
    } else if (settings.autoOffsetReset === 'none') {
      const text = `${topic}-${partition}: the log was truncated at offset ${endOffset}, below the position ${position}`
      state.fault = new PagelogError('PAGELOG_OFFSET_OUT_OF_RANGE', text, {
        offset: endOffset,
        kafkaCode: ErrorCode.OFFSET_OUT_OF_RANGE,
      })
    } else if (endOffset < 0) this.#options.onOutOfRange(state)
    else {
      state.moveTo(endOffset)
      state.fetchEpoch = epoch
    }
  }

  #tryAgain(state: AssignedPartition): void {
    const { settings, env } = this.#options
    state.checking = false
    const pauseMs = backoffMs(++state.failures, settings.retryBackoffMs, settings.retryBackoffMaxMs, env.random)
    state.notBeforeMs = waitOut(env.clock, pauseMs, () => this.#options.onChange())
  }
}

/** One entry per topic. */
function questionsOf(checked: readonly Checked[]): Question[] {
  const byName = new Map<string, Question>()
  for (const { state, leaderEpoch, fetchEpoch } of checked) {
    const question = { partition: state.partition, currentLeaderEpoch: leaderEpoch, leaderEpoch: fetchEpoch }
    const known = byName.get(state.topic)
    if (known === undefined) byName.set(state.topic, { topic: state.topic, partitions: [question] })
    else known.partitions.push(question)
  }
  return [...byName.values()]
}
