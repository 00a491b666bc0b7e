/**
 * What clients of a cluster were told, and what it says of the cluster. Every value is sent once and is unlike all
 * others. The rules are those of Jepsen's checker of Kafka-like logs: the log itself gives the order, so no search is
 * needed and a check takes n log n.
 */
import { baseOffset, batchSize, lastOffset } from '../../src/record/index.ts'

export type Verdict =
  /** Acknowledged, and not there. */
  | 'lost'
  /** One value at two offsets. */
  | 'duplicated'
  /** Against the order in which one producer sent, one consumer read, or time went on. */
  | 'reordered'
  /** Read, but never sent, or refused. */
  | 'phantom'
  /** Two values at one offset. */
  | 'two values'
  /** A reader went past something that is there. */
  | 'skipped'
  /** Replicas whose bytes below the high watermark differ. */
  | 'diverged'
  /** A consumer that does not come to the end when all is well again. */
  | 'stuck'
  /** What the metadata say of a partition goes back, or contradicts itself. */
  | 'unlawful state'

export interface Violation {
  readonly verdict: Verdict
  readonly partition: string
  readonly text: string
}

export interface Send {
  readonly producer: string
  readonly partition: string
  readonly value: string
  /** Highest offset of the partition that anybody knew of when it was sent. */
  readonly knownBefore: number
  /** `unknown`: never answered, or with an error that leaves it open. `failed`: surely not in the log. */
  outcome: 'acked' | 'failed' | 'unknown'
  offset: number
}

interface Read {
  readonly offset: number
  readonly value: string
}

/** One reader of one partition, from one place on. */
interface Reading {
  readonly reader: string
  readonly partition: string
  readonly reads: Read[]
}

export class History {
  readonly sends: Send[] = []
  readonly readings: Reading[] = []
  /** Called when a client is told that there is something at an offset of a partition. */
  onTold: ((partition: string, offset: number) => void) | undefined
  readonly #known = new Map<string, number>()

  send(producer: string, partition: string, value: string): Send {
    const knownBefore = this.#known.get(partition) ?? -1
    const send: Send = { producer, partition, value, knownBefore, outcome: 'unknown', offset: -1 }
    this.sends.push(send)
    return send
  }

  acked(send: Send, offset: number): void {
    send.outcome = 'acked'
    send.offset = offset
    this.#know(send.partition, offset)
  }

  failed(send: Send): void {
    send.outcome = 'failed'
  }

  /** A reader begins, or goes on somewhere else; tell what it reads by the function returned. */
  reader(reader: string, partition: string): (offset: number, value: string) => void {
    const reads: Read[] = []
    this.readings.push({ reader, partition, reads })
    return (offset, value) => {
      reads.push({ offset, value })
      this.#know(partition, offset)
    }
  }

  /** Of these partitions alone. */
  only(partitions: ReadonlySet<string>): History {
    const history = new History()
    history.sends.push(...this.sends.filter(({ partition }) => partitions.has(partition)))
    history.readings.push(...this.readings.filter(({ partition }) => partitions.has(partition)))
    return history
  }

  get acknowledged(): number {
    return this.sends.filter(({ outcome }) => outcome === 'acked').length
  }

  #know(partition: string, offset: number): void {
    this.onTold?.(partition, offset)
    this.#known.set(partition, Math.max(this.#known.get(partition) ?? -1, offset))
  }
}

export interface CheckOptions {
  /** A reader of this name has read every partition from its beginning to its end when all was over. */
  readonly finalReader: string
  /** Producers whose retries may store a value twice, and out of order: those that are not idempotent. */
  readonly mayRepeat?: ReadonlySet<string>
}

/** All that is wrong; empty is what it should be. */
export function checkHistory(history: History, options: CheckOptions): Violation[] {
  const violations: Violation[] = []
  const sendOf = new Map(history.sends.map((send) => [send.value, send]))
  const sendsBy = groupBy(history.sends, ({ partition }) => partition)
  const readingsBy = groupBy(history.readings, ({ partition }) => partition)
  for (const partition of new Set([...sendsBy.keys(), ...readingsBy.keys()])) {
    const checker = new PartitionChecker(partition, options, sendOf)
    violations.push(...checker.check(sendsBy.get(partition) ?? [], readingsBy.get(partition) ?? []))
  }
  return violations
}

class PartitionChecker {
  readonly #partition: string
  readonly #options: CheckOptions
  readonly #sendOf: ReadonlyMap<string, Send>
  readonly #violations: Violation[] = []
  readonly #valueAt = new Map<number, string>()
  readonly #offsetOf = new Map<string, number>()

  constructor(partition: string, options: CheckOptions, sendOf: ReadonlyMap<string, Send>) {
    this.#partition = partition
    this.#options = options
    this.#sendOf = sendOf
  }

  check(sends: readonly Send[], readings: readonly Reading[]): Violation[] {
    for (const { reader, reads } of readings) for (const read of reads) this.#place(read, `read by ${reader}`)
    for (const { outcome, value, offset, producer } of sends) {
      // -1: the broker took it for a duplicate whose place it has forgotten.
      if (outcome === 'acked' && offset >= 0) this.#place({ offset, value }, `acknowledged to ${producer}`)
    }
    this.#checkLost(sends, readings)
    this.#checkSendOrder(sends)
    const offsets = [...this.#valueAt.keys()].sort((a, b) => a - b)
    for (const reading of readings) this.#checkReading(reading, offsets)
    return this.#violations
  }

  #report(verdict: Verdict, text: string): void {
    this.#violations.push({ verdict, partition: this.#partition, text })
  }

  /** Somebody was told that the value is at the offset. */
  #place({ offset, value }: Read, how: string): void {
    const there = this.#valueAt.get(offset)
    if (there === undefined) this.#valueAt.set(offset, value)
    else if (there !== value) this.#report('two values', `offset ${offset}: ${there}, and ${value} ${how}`)
    const send = this.#sendOf.get(value)
    const at = this.#offsetOf.get(value)
    if (at === undefined) {
      this.#offsetOf.set(value, offset)
      if (send === undefined) this.#report('phantom', `${value} at ${offset}, ${how}, was never sent`)
      else if (send.partition !== this.#partition) this.#report('phantom', `${value} was sent to ${send.partition}`)
      else if (send.outcome === 'failed') this.#report('phantom', `${value} at ${offset}, ${how}, was refused`)
    } else if (at !== offset && send !== undefined && this.#options.mayRepeat?.has(send.producer) !== true) {
      this.#report('duplicated', `${value} at ${at}, and at ${offset} ${how}`)
    }
  }

  #checkLost(sends: readonly Send[], readings: readonly Reading[]): void {
    const found = new Set<string>()
    for (const { reader, reads } of readings) {
      if (reader === this.#options.finalReader) for (const { value } of reads) found.add(value)
    }
    for (const { outcome, value, offset } of sends) {
      if (outcome === 'acked' && !found.has(value)) this.#report('lost', `${value}, acknowledged at ${offset}`)
    }
    // What somebody has read was below the high watermark, acknowledged or not.
    for (const { reader, reads } of readings) {
      for (const { value, offset } of reads) {
        if (found.has(value)) continue
        found.add(value)
        this.#report('lost', `${value}, read at ${offset} by ${reader}`)
      }
    }
  }

  /** Values of one producer are in the order in which it sent them, and behind all that was known before. */
  #checkSendOrder(sends: readonly Send[]): void {
    const last = new Map<string, Send & { at: number }>()
    for (const send of sends) {
      const at = send.outcome === 'acked' && send.offset >= 0 ? send.offset : this.#offsetOf.get(send.value)
      if (at === undefined || this.#options.mayRepeat?.has(send.producer) === true) continue
      if (at <= send.knownBefore) {
        this.#report('reordered', `${send.value} at ${at}, sent when there was an offset ${send.knownBefore}`)
      }
      const before = last.get(send.producer)
      if (before !== undefined && before.at >= at) {
        this.#report('reordered', `${send.value} at ${at}, sent after ${before.value} at ${before.at}`)
      }
      last.set(send.producer, { ...send, at })
    }
  }

  /** A reader goes forward, and leaves nothing out. */
  #checkReading({ reader, reads }: Reading, offsets: readonly number[]): void {
    let next = reads.length === 0 ? 0 : lowerBound(offsets, reads[0]!.offset)
    let last = -1
    for (const { offset, value } of reads) {
      if (offset <= last) {
        this.#report('reordered', `${reader} read ${value} at ${offset} after offset ${last}`)
        continue
      }
      last = offset
      for (; offsets[next]! < offset; next++) {
        this.#report('skipped', `${reader} went past offset ${offsets[next]}: ${this.#valueAt.get(offsets[next]!)}`)
      }
      next++
    }
  }
}

/** One replica's log as it is stored, whole batches. */
export interface ReplicaBytes {
  readonly name: string
  readonly startOffset: number
  readonly bytes: Uint8Array
}

/** Replicas of a partition must have the same bytes where all of them have something below the high watermark. */
export function checkReplicas(
  partition: string,
  replicas: readonly ReplicaBytes[],
  highWatermark: number,
): Violation[] {
  const from = replicas.reduce((most, { startOffset }) => Math.max(most, startOffset), 0)
  const parts = replicas.map(({ name, bytes }) => ({ name, bytes: between(bytes, from, highWatermark) }))
  const [first, ...others] = parts
  const violations: Violation[] = []
  for (const other of others) {
    const at = firstDifference(first!.bytes, other.bytes)
    if (at < 0) continue
    const text = `${first!.name} and ${other.name} differ below ${highWatermark}: byte ${at} after offset ${from}`
    violations.push({ verdict: 'diverged', partition, text })
  }
  return violations
}

/** The batches that lie in `[from, end)` as a whole. */
function between(bytes: Uint8Array, from: number, end: number): Uint8Array {
  let start = bytes.length
  let stop = 0
  for (let at = 0; at < bytes.length; at += batchSize(bytes, at)) {
    if (baseOffset(bytes, at) < from || lastOffset(bytes, at) >= end) continue
    start = Math.min(start, at)
    stop = at + batchSize(bytes, at)
  }
  return bytes.subarray(start, Math.max(start, stop))
}

function firstDifference(one: Uint8Array, other: Uint8Array): number {
  if (Buffer.compare(one, other) === 0) return -1
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) if (one[at] !== other[at]) return at
  return length
}

/** Index of the first that is not below `wanted`. */
function lowerBound(sorted: readonly number[], wanted: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < wanted) low = middle + 1
    else high = middle
  }
  return low
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}
