/** What a leader knows of one follower, in this leader epoch: nothing before its first fetch. */
export interface FollowerFetch {
  readonly replicaId: number
  /** -1: the follower did not say. */
  readonly brokerEpoch: number
  /** Exclusive; what the follower has written. */
  readonly logEndOffset: number
  readonly logStartOffset: number
}

export class RemoteReplica {
  readonly id: number
  /** -1: it has not fetched in this epoch. */
  logEndOffset = -1
  logStartOffset = -1
  brokerEpoch = -1
  /** The same in bytes, see LagBound. Before the first fetch: all that there was. */
  place: number
  /** Monotonic: when it last had all that the leader had. */
  caughtUpMs: number
  #lastFetchMs: number
  /** The leader's end at that fetch. */
  #lastEnd = -1

  /** A follower gets the time that it may lag to fetch for the first time. */
  constructor(id: number, nowMs: number, place: number) {
    this.id = id
    this.caughtUpMs = nowMs
    this.#lastFetchMs = nowMs
    this.place = place
  }

  /** A follower that reads all there was at its last fetch was caught up then, though more has come since. */
  fetched(fetch: FollowerFetch, leaderEnd: number, nowMs: number): void {
    if (fetch.logEndOffset >= leaderEnd) this.caughtUpMs = Math.max(this.caughtUpMs, nowMs)
    else if (fetch.logEndOffset >= this.#lastEnd) this.caughtUpMs = Math.max(this.caughtUpMs, this.#lastFetchMs)
    this.logEndOffset = fetch.logEndOffset
    this.logStartOffset = fetch.logStartOffset
    this.brokerEpoch = fetch.brokerEpoch
    this.#lastFetchMs = nowMs
    this.#lastEnd = leaderEnd
  }

  /** It asked again at `nowMs`, and there was no more than at its last fetch. */
  stayed(nowMs: number): void {
    if (this.logEndOffset >= this.#lastEnd) this.caughtUpMs = Math.max(this.caughtUpMs, nowMs)
    this.#lastFetchMs = Math.max(this.#lastFetchMs, nowMs)
  }

  /** It has not asked for longer than that. */
  isSilent(silentMs: number, nowMs: number): boolean {
    return nowMs - this.#lastFetchMs > silentMs
  }

  isBehind(leaderEnd: number, lagMaxMs: number, nowMs: number): boolean {
    return this.logEndOffset !== leaderEnd && nowMs - this.caughtUpMs > lagMaxMs
  }
}
