/**
 * One partition that this broker leads: its log, its leader epoch, the topic's settings in force, and the fetches that
 * wait for it to grow. Appends reach the waiting fetches through one listener on the log, whatever their number.
 */
import { ErrorCode } from '../base/index.ts'
import type { Log } from '../log/index.ts'
import { AppendOrder } from './append-order.ts'
import type { DelayedFetch } from './delayed-fetch.ts'
import type { TopicSettings } from './topic-settings.ts'

export class Partition {
  readonly topic: string
  readonly topicId: string
  readonly index: number
  readonly log: Log
  readonly leaderEpoch: number
  settings: TopicSettings
  readonly appendOrder = new AppendOrder()
  /** Waiting fetch -> its slot for this partition. */
  readonly #waiting = new Map<DelayedFetch, number>()
  readonly #stopListening: () => void
  #deleted = false

  constructor(topic: string, topicId: string, index: number, log: Log, leaderEpoch: number, settings: TopicSettings) {
    this.topic = topic
    this.topicId = topicId
    this.index = index
    this.log = log
    this.leaderEpoch = leaderEpoch
    this.settings = settings
    this.#stopListening = log.onAppend(() => this.#appended())
  }

  /** True once the topic is being removed; whoever still holds the object answers as if it were unknown. */
  get deleted(): boolean {
    return this.#deleted
  }

  get waitingFetches(): number {
    return this.#waiting.size
  }

  /** NONE, FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH for the epoch that a client believes in; -1 skips the check. */
  checkLeaderEpoch(epoch: number): number {
    if (epoch < 0 || epoch === this.leaderEpoch) return ErrorCode.NONE
    return epoch < this.leaderEpoch ? ErrorCode.FENCED_LEADER_EPOCH : ErrorCode.UNKNOWN_LEADER_EPOCH
  }

  /** Bytes that a fetch from `offset` could get: at least 1 if there is anything, and else 0. A lower bound. */
  availableBytes(offset: number): number {
    if (offset >= this.log.highWatermark || offset < this.log.logStartOffset) return 0
    return Math.max(1, this.log.availableBytes(offset))
  }

  addWaiting(fetch: DelayedFetch, slot: number): void {
    this.#waiting.set(fetch, slot)
  }

  removeWaiting(fetch: DelayedFetch): void {
    this.#waiting.delete(fetch)
  }

  /** Ends every wait; the fetches then find the partition unknown. */
  markDeleted(): void {
    this.#deleted = true
    this.#stopListening()
    for (const fetch of [...this.#waiting.keys()]) fetch.complete()
  }

  #appended(): void {
    for (const [fetch, slot] of this.#waiting) fetch.grew(slot)
  }
}
