/**
 * An open loop: records leave when they are meant to, whatever the broker does. A latency counts from the *intended*
 * time; so a broker that stops for a second shows as the second that its users waited, and not as one slow record.
 * Beside it: the service time (from the call of `send`) and the lateness (how much after its time a record was sent,
 * which is the harness's own part, or that of a producer without room).
 *
 * What has not come back when the drain is over counts with the time it has waited until then, never not at all.
 */

import { LatencyRecorder } from '../measure/latency.ts'
import type { Arrivals } from './arrivals.ts'
import type { LoadCounts } from './counts.ts'
import { IntervalLatency } from './intervals.ts'
import type { Pace } from './pace.ts'

/** Records that travel together share one; it settles when they are acknowledged or given up. */
export interface Passage {
  readonly done: PromiseLike<unknown>
}

export interface Sink {
  /** False: `ready` must be awaited first. */
  readonly hasRoom: boolean
  ready(): Promise<void>
  /** `intendedMs`: of the pace's clock. A throw is a record that failed. */
  send(intendedMs: number): Passage
}

export interface OpenLoopOptions {
  readonly arrivals: Arrivals
  readonly pace: Pace
  readonly sink: Sink
  /** Records meant for before this time are sent and not counted. */
  readonly warmUpMs: number
  /** The load ends here: what is still due then (the sink had no room) is not sent any more. */
  readonly endMs: number
  /** How long answers are waited for after the last record. */
  readonly drainMs: number
  readonly signal?: AbortSignal
  /** Called once, when the warm-up is over. */
  readonly onMeasuring?: () => void
}

export interface OpenLoopResult extends LoadCounts {
  /** Over which the answers came: their count by it is the rate, whatever the delay of the first of them. */
  readonly seconds: number
  readonly latency: IntervalLatency
  readonly service: LatencyRecorder
  readonly lateness: LatencyRecorder
}

/** Records that left in one passage: when each was meant to leave and left, milliseconds, in pairs. */
type Pairs = number[]

export class OpenLoop {
  readonly latency = new IntervalLatency()
  readonly service = new LatencyRecorder()
  readonly lateness = new LatencyRecorder()
  acknowledged = 0
  failed = 0
  sent = 0
  readonly #options: OpenLoopOptions
  readonly #travelling = new Map<Passage, Pairs>()
  #startMs = 0
  #intended = 0
  #unsent = 0
  /** Milliseconds and how many were meant for each: a load that cannot be taken may be long. */
  readonly #leftOut: number[] = []
  #firstAnswerMs = 0
  #lastAnswerMs = 0
  #closed = false
  #onEmpty: (() => void) | undefined

  constructor(options: OpenLoopOptions) {
    this.#options = options
  }

  async run(): Promise<OpenLoopResult> {
    const { pace, drainMs, endMs } = this.#options
    this.#startMs = pace.nowMs()
    const atMs = await this.#sendAll()
    await this.#drain(Math.max(pace.nowMs(), this.#startMs + Math.min(endMs, atMs)) + drainMs)
    return this.#result()
  }

  /** Returns the time that came after the last one sent. */
  async #sendAll(): Promise<number> {
    const { arrivals, pace, sink, warmUpMs, endMs, signal, onMeasuring } = this.#options
    let isWarm = false
    let atMs = arrivals.next()
    let begunMs = atMs
    while (atMs < endMs && signal?.aborted !== true) {
      if (!isWarm && atMs >= warmUpMs) {
        isWarm = true
        onMeasuring?.()
      }
      const nowMs = pace.nowMs() - this.#startMs
      if (nowMs < atMs) {
        await pace.until(Math.min(this.#startMs + atMs, pace.nowMs() + 500))
        continue
      }
      if (!sink.hasRoom) {
        if (nowMs >= endMs) break
        await Promise.race([sink.ready(), pace.until(Math.min(this.#startMs + endMs, pace.nowMs() + 500))])
        continue
      }
      this.#send(atMs, atMs >= warmUpMs)
      begunMs = atMs
      atMs = arrivals.next()
    }
    if (signal?.aborted === true) return begunMs
    for (; atMs < endMs; atMs = arrivals.next()) this.#leaveOut(atMs)
    return atMs === Number.POSITIVE_INFINITY ? begunMs : atMs
  }

  #send(atMs: number, counts: boolean): void {
    const { pace, sink } = this.#options
    const intendedMs = this.#startMs + atMs
    const sentMs = pace.nowMs()
    this.sent++
    if (counts) {
      this.#intended++
      this.lateness.record(sentMs - intendedMs)
    }
    let passage: Passage
    try {
      passage = sink.send(intendedMs)
    } catch {
      if (counts) this.failed++
      return
    }
    let pairs = this.#travelling.get(passage)
    if (pairs === undefined) {
      pairs = []
      this.#travelling.set(passage, pairs)
      const started = pairs
      passage.done.then(
        () => this.#arrived(passage, started, true),
        () => this.#arrived(passage, started, false),
      )
    }
    if (counts) pairs.push(intendedMs, sentMs)
  }

  #arrived(passage: Passage, pairs: Pairs, isDelivered: boolean): void {
    if (this.#closed) return
    const nowMs = this.#options.pace.nowMs()
    this.#travelling.delete(passage)
    if (isDelivered) this.acknowledged += pairs.length / 2
    else this.failed += pairs.length / 2
    this.#account(pairs, nowMs)
    if (pairs.length > 0 && isDelivered) {
      if (this.#firstAnswerMs === 0) this.#firstAnswerMs = nowMs
      this.#lastAnswerMs = nowMs
    }
    if (this.#travelling.size === 0) this.#onEmpty?.()
  }

  #account(pairs: Pairs, nowMs: number): void {
    const measuredMs = nowMs - this.#startMs - this.#options.warmUpMs
    for (let i = 0; i < pairs.length; i += 2) {
      this.latency.record(nowMs - pairs[i]!, measuredMs)
      this.service.record(nowMs - pairs[i + 1]!)
    }
  }

  /** A record that nobody could take: its user waits all the same. */
  #leaveOut(atMs: number): void {
    if (atMs < this.#options.warmUpMs) return
    this.#intended++
    this.#unsent++
    const millisecond = Math.floor(atMs)
    if (this.#leftOut.at(-2) === millisecond) this.#leftOut[this.#leftOut.length - 1]! += 1
    else this.#leftOut.push(millisecond, 1)
  }

  async #drain(untilMs: number): Promise<void> {
    const { pace, signal } = this.#options
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve
    })
    while (this.#travelling.size > 0 && pace.nowMs() < untilMs && signal?.aborted !== true) {
      await Promise.race([empty, pace.until(Math.min(untilMs, pace.nowMs() + 100))])
    }
    this.#closed = true
  }

  #result(): OpenLoopResult {
    const { pace, warmUpMs } = this.#options
    const nowMs = pace.nowMs()
    let unfinished = this.#unsent
    for (const pairs of this.#travelling.values()) {
      unfinished += pairs.length / 2
      this.#account(pairs, nowMs)
    }
    const measuredMs = nowMs - this.#startMs - warmUpMs
    for (let i = 0; i < this.#leftOut.length; i += 2) {
      this.latency.record(nowMs - this.#startMs - this.#leftOut[i]!, measuredMs, this.#leftOut[i + 1]!)
    }
    this.latency.finish(measuredMs)
    return {
      intended: this.#intended,
      sent: this.#intended - this.#unsent,
      acknowledged: this.acknowledged,
      failed: this.failed,
      unfinished,
      seconds: this.#answeringSeconds(),
      latency: this.latency,
      service: this.service,
      lateness: this.lateness,
    }
  }

  /** From the first answer to the last there is one distance fewer than answers. */
  #answeringSeconds(): number {
    const { acknowledged } = this
    if (acknowledged < 2 || this.#lastAnswerMs <= this.#firstAnswerMs) {
      const { pace, warmUpMs } = this.#options
      return Math.max(0.001, (pace.nowMs() - this.#startMs - warmUpMs) / 1000)
    }
    return ((this.#lastAnswerMs - this.#firstAnswerMs) / 1000) * (acknowledged / (acknowledged - 1))
  }
}
