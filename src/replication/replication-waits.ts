/**
 * Appends that are answered once enough replicas have them (acks=all), in the order of their offsets: what the high
 * watermark passes is at the front, so an advance looks at what it settles and at one more.
 */
export interface ReplicationWait {
  /** Exclusive. */
  readonly endOffset: number
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
    while (at > 0 && waiting[at - 1]!.endOffset > wait.endOffset) at--
    if (at === waiting.length) waiting.push(wait)
    else waiting.splice(at, 0, wait)
  }

  /** It waits no longer, and is not called. */
  remove(wait: ReplicationWait): void {
    const at = this.#waiting.indexOf(wait)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  /** Settles with `errorCode` what lies before `highWatermark`. */
  advanced(highWatermark: number, errorCode: number): void {
    const waiting = this.#waiting
    let count = 0
    while (count < waiting.length && waiting[count]!.endOffset <= highWatermark) count++
    if (count === 0) return
    for (const wait of waiting.splice(0, count)) wait.settled(errorCode)
  }

  /** Settles all. */
  end(errorCode: number): void {
    for (const wait of this.#waiting.splice(0)) wait.settled(errorCode)
  }
}
