/**
 * Appends that are answered once replicas have come to some place of the log, in the order of these places: what an
 * advance passes is at the front, so it looks at what it settles and at one more. Places are offsets (acks=all waits for
 * the high watermark), or count bytes (lag-bound.ts).
 */
export interface ReplicationWait {
  /** Exclusive. */
  readonly end: number
  /** Called once, within the advance or the loss: NONE, or Kafka's error. It must not throw. */
  settled(errorCode: number): void
}

export class ReplicationWaits {
  #waiting: ReplicationWait[] = []

  get size(): number {
    return this.#waiting.length
  }

  add(wait: ReplicationWait): void {
    const waiting = this.#waiting
    let at = waiting.length
    // Only what repeats an earlier batch does not go to the end.
    while (at > 0 && waiting[at - 1]!.end > wait.end) at--
    if (at === waiting.length) waiting.push(wait)
    else waiting.splice(at, 0, wait)
  }

  /** It waits no longer, and is not called. */
  remove(wait: ReplicationWait): void {
    const at = this.#waiting.indexOf(wait)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  /** Settles with `errorCode` what ends there or before. */
  advanced(place: number, errorCode: number): void {
    const waiting = this.#waiting
    let count = 0
    while (count < waiting.length && waiting[count]!.end <= place) count++
    if (count === 0) return
    for (const wait of waiting.splice(0, count)) wait.settled(errorCode)
  }

  /** Settles all. */
  end(errorCode: number): void {
    for (const wait of this.#waiting.splice(0)) wait.settled(errorCode)
  }
}
