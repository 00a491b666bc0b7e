/** Batches that have their offsets and wait for the kernel, in the order of the offsets. */
import { baseOffset, batchSize, lastOffset, leaderEpoch, maxTimestamp } from '../record/index.ts'
import { type ProducerBatch, readProducerBatch } from './producer-batch.ts'
import type { ProducerState } from './producer-state.ts'

export interface AppendResult {
  readonly baseOffset: number
  /** Inclusive. */
  readonly lastOffset: number
  /** The largest of its records: theirs, or that of the append with message.timestamp.type=LogAppendTime. */
  readonly timestamp: number
  /** The batch was there already (idempotent producer): these are its offsets, nothing was appended. */
  readonly duplicate: boolean
  /** -1 with message.timestamp.type=CreateTime. */
  readonly logAppendTimeMs: number
}

export type PendingFields = Pick<
  PendingAppend,
  'bytes' | 'baseOffset' | 'lastOffset' | 'maxTimestamp' | 'leaderEpoch' | 'logAppendTimeMs' | 'producerBatch'
>

/** A batch on its way. Whoever waits for it is told by `landed` or `reject`, one of them, once. */
export abstract class PendingAppend {
  readonly bytes: Uint8Array
  readonly size: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly leaderEpoch: number
  readonly logAppendTimeMs: number
  readonly producerBatch: ProducerBatch | undefined

  constructor(fields: PendingFields) {
    this.bytes = fields.bytes
    this.size = fields.bytes.length
    this.baseOffset = fields.baseOffset
    this.lastOffset = fields.lastOffset
    this.maxTimestamp = fields.maxTimestamp
    this.leaderEpoch = fields.leaderEpoch
    this.logAppendTimeMs = fields.logAppendTimeMs
    this.producerBatch = fields.producerBatch
  }

  /** Somebody waits until it is on the device: `landed` gets a promise of that. */
  abstract readonly isDurable: boolean
  /** Somebody waits for no more than that the kernel has it. */
  abstract readonly isUrgent: boolean
  /** What is queued with it is written in one go: nothing is won by hearing of a part of it before. */
  get goesWhole(): boolean {
    return false
  }
  /** It is visible. `flushed` is there when an append of the same write is durable. */
  abstract landed(flushed: Promise<void> | undefined): void
  /** It was not appended. */
  abstract reject(error: Error): void
}

/** A batch that somebody brought as bytes. */
export class PendingBatch extends PendingAppend {
  readonly isDurable: boolean
  #promise: Promise<AppendResult> | undefined
  #resolve: ((result: AppendResult) => void) | undefined
  #reject: ((error: Error) => void) | undefined

  /** `isDurable`: whoever brought it waits for the sync, by `Appender.flush`. */
  constructor(fields: PendingFields, isDurable: boolean) {
    super(fields)
    this.isDurable = isDurable
  }

  /** To be asked for before it is over. Most batches of another replica are never asked for it. */
  get promise(): Promise<AppendResult> {
    this.#promise ??= new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    return this.#promise
  }

  override get isUrgent(): boolean {
    return !this.isDurable
  }

  override landed(): void {
    const { baseOffset, lastOffset, maxTimestamp: timestamp, logAppendTimeMs } = this
    this.#resolve?.({ baseOffset, lastOffset, timestamp, duplicate: false, logAppendTimeMs })
  }

  override reject(error: Error): void {
    this.#reject?.(error)
  }
}

/** A batch of a piece that another replica sent: nobody is answered before all of the piece is written. */
class ReplicatedBatch extends PendingBatch {
  override get goesWhole(): boolean {
    return true
  }
}

export class AppendQueue {
  #waiting: PendingAppend[] = []
  /** Index of the first that waits; those before it are in flight. */
  #head = 0
  #waitingBytes = 0

  /** Of those that wait. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }
  get isEmpty(): boolean {
    return this.#head === this.#waiting.length
  }
  /** The first that waits; requires that the queue is not empty. */
  get first(): PendingAppend {
    return this.#waiting[this.#head]!
  }

  push(append: PendingAppend): void {
    this.#waiting.push(append)
    this.#waitingBytes += append.size
  }

  /** The checked batches of another replica in `bytes` up to `end`, as they are; the last of them. */
  pushReplicated(bytes: Uint8Array, end: number, producers: ProducerState): PendingBatch {
    for (let at = 0; ; ) {
      const size = batchSize(bytes, at)
      const producerBatch = readProducerBatch(bytes, at)
      if (producerBatch !== undefined) producers.reserve(producerBatch)
      const append = pendingAt(bytes, at, size, producerBatch)
      this.push(append)
      at += size
      if (at >= end) return append // the last one speaks for all
    }
  }

  /** Takes appends from the front while `fits`; they are in flight until `landed`. The first is taken always. */
  take(fits: (append: PendingAppend, count: number, bytes: number) => boolean): PendingAppend[] {
    const start = this.#head
    let bytes = 0
    do {
      bytes += this.first.size
      this.#head++
    } while (!this.isEmpty && fits(this.first, this.#head - start, bytes))
    this.#waitingBytes -= bytes
    return this.#waiting.slice(start, this.#head)
  }

  /** The first `count` of those taken are done with. */
  landed(count: number): void {
    this.#waiting = this.#waiting.length === count ? [] : this.#waiting.slice(count)
    this.#head -= count
  }

  /** Everything that waits or is in flight; the queue is empty afterwards. */
  clear(): PendingAppend[] {
    const all = this.#waiting
    this.#waiting = []
    this.#head = 0
    this.#waitingBytes = 0
    return all
  }

  /** The append, waiting or in flight, that carries this batch. */
  find(batch: ProducerBatch): PendingBatch | undefined {
    return this.#waiting.find((append) => append.producerBatch === batch) as PendingBatch | undefined
  }
}

/** Neighbours in memory are one part: batches of a leader come in one piece. */
export function partsOf(group: readonly PendingAppend[]): Uint8Array[] {
  const parts: Uint8Array[] = []
  let last: Uint8Array | undefined
  for (const { bytes } of group) {
    const follows =
      last !== undefined && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset
    last = follows ? new Uint8Array(last!.buffer, last!.byteOffset, last!.length + bytes.length) : bytes
    if (follows) parts[parts.length - 1] = last
    else parts.push(last)
  }
  return parts
}

/** The batch at `at` as another replica has it. */
function pendingAt(
  bytes: Uint8Array,
  at: number,
  size: number,
  producerBatch: ProducerBatch | undefined,
): ReplicatedBatch {
  const fields = {
    bytes: bytes.subarray(at, at + size),
    baseOffset: baseOffset(bytes, at),
    lastOffset: lastOffset(bytes, at),
    maxTimestamp: maxTimestamp(bytes, at),
    leaderEpoch: leaderEpoch(bytes, at),
    logAppendTimeMs: -1,
    producerBatch,
  }
  return new ReplicatedBatch(fields, false)
}
