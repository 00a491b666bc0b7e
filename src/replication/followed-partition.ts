/** One partition as its follower asks for it: where it goes on, and what its session knows of that. */
import type { FetchWish } from './fetch-session.ts'
import type { Partition } from './partition.ts'

const PAUSE_MS_MIN = 20

export class FollowedPartition {
  readonly partition: Partition
  /** The leader epoch in which it follows. */
  readonly epoch: number
  /** Exclusive; what was received. What is written of it is in the log. */
  nextOffset = 0
  /** Of the last batch before `nextOffset`. */
  #lastEpoch = -1
  /** The offset that the fetch under way asks for; -1: it does not. */
  askedOffset = -1
  /** It is being cut, or begun anew: nothing is asked for meanwhile. */
  isBusy = false
  isTrimming = false
  /** Requests that its fetcher had sent when it began to follow, or was cut: what is answered to them it did not ask. */
  since = 0
  isStopped = false
  /** In the session; undefined: it is not. */
  told: FetchWish | undefined
  #failures = 0
  /** Monotonic. */
  notBeforeMs = 0

  constructor(partition: Partition) {
    this.partition = partition
    this.epoch = partition.leaderEpoch
    this.restart()
  }

  get key(): string {
    return followedKey(this.partition.topicId, this.partition.index)
  }

  /** What was received is void, or all of it written: goes on from where the log ends. */
  restart(): void {
    const { log } = this.partition
    this.nextOffset = log.logEndOffset
    this.#lastEpoch = log.replica.lastEpoch
    this.askedOffset = -1
  }

  received(endOffset: number, lastEpoch: number): void {
    this.nextOffset = endOffset
    this.#lastEpoch = lastEpoch
  }

  /** What it was answered is written: the next failure is a first one. */
  succeeded(): void {
    this.#failures = 0
  }

  /** It is left alone for a while, longer each time. */
  failed(nowMs: number, pauseMaxMs: number): void {
    this.#failures++
    this.notBeforeMs = nowMs + Math.min(pauseMaxMs, PAUSE_MS_MIN * 2 ** Math.min(20, this.#failures - 1))
  }

  get isFirstFailure(): boolean {
    return this.#failures === 1
  }

  wish(partitionMaxBytes: number): FetchWish {
    const { log } = this.partition
    const { logEndOffset } = log
    return {
      partition: this.partition.index,
      currentLeaderEpoch: this.epoch,
      fetchOffset: this.nextOffset,
      lastFetchedEpoch: this.#lastEpoch,
      logStartOffset: log.logStartOffset,
      partitionMaxBytes,
      appendedOffset: logEndOffset < this.nextOffset ? logEndOffset : -1,
    }
  }

  /** Whether the session has to be told of `wish`. */
  isNews(wish: FetchWish): boolean {
    const { told } = this
    if (told === undefined) return true
    return (
      told.fetchOffset !== wish.fetchOffset ||
      told.appendedOffset !== wish.appendedOffset ||
      told.lastFetchedEpoch !== wish.lastFetchedEpoch ||
      told.logStartOffset !== wish.logStartOffset
    )
  }
}

export function followedKey(topicId: string, index: number): string {
  return `${topicId} ${index}`
}
