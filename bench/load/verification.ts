/**
 * Whether what is read is what was sent: nothing acknowledged is missing, nothing is there twice, the records of a
 * producer stand in a partition in the order of their sending, and every value is what it was.
 */
import { readStamp, type Stamp } from './stamp.ts'

/** What a producer says in the end. */
export interface SentRecords {
  readonly producer: number
  /** Numbers 0 to count - 1 were given to the client. */
  readonly count: number
  /** Those that were not acknowledged, from – to (exclusive): they may be stored or not. */
  readonly doubtful: readonly (readonly [number, number])[]
}

export interface Verification {
  readonly received: number
  /** Acknowledged and not there. */
  readonly missing: number
  readonly duplicates: number
  /** Records that stand behind one of their producer that was sent later. */
  readonly outOfOrder: number
  /** Values that are not what was sent. */
  readonly damaged: number
  /** Up to a few examples of what is wrong, as sentences. */
  readonly examples: readonly string[]
}

const EXAMPLES_MAX = 5

export function isSound(one: Verification): boolean {
  return one.missing + one.duplicates + one.outOfOrder + one.damaged === 0
}

/** `2 missing, 1 duplicate` or `no gaps, no duplicates, in order, contents intact`. */
export function describeVerification(one: Verification): string {
  if (isSound(one)) return `${one.received} records: no gaps, no duplicates, in order, contents intact`
  const parts = [
    [one.missing, 'missing'],
    [one.duplicates, 'duplicates'],
    [one.outOfOrder, 'out of order'],
    [one.damaged, 'damaged'],
  ] as const
  return parts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}`)
    .join(', ')
}

class Seen {
  #bits = new Uint8Array(1024)

  has(number: number): boolean {
    return ((this.#bits[number >>> 3] ?? 0) & (1 << (number & 7))) !== 0
  }

  add(number: number): void {
    const at = Math.floor(number / 8)
    if (at >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(at + 1, this.#bits.length * 2))
      larger.set(this.#bits)
      this.#bits = larger
    }
    this.#bits[at]! |= 1 << (number & 7)
  }
}

/** Numbers that a stamp may have: a bit each is kept. */
const NUMBER_MAX = 2_000_000_000

export class Verifier {
  received = 0
  #duplicates = 0
  #outOfOrder = 0
  #damaged = 0
  readonly #examples: string[] = []
  readonly #seen = new Map<number, Seen>()
  /** The last number of a producer in a partition. */
  readonly #last = new Map<number, number>()

  /** The stamp, if the value is sound. */
  add(partition: number, offset: number, bytes: Uint8Array, start: number, length: number): Stamp | undefined {
    this.received++
    const stamp = readStamp(bytes, start, length)
    if (stamp === undefined || stamp.number > NUMBER_MAX) {
      this.#damaged++
      this.#example(`partition ${partition}, offset ${offset}: the value is not what was sent`)
      return undefined
    }
    const { producer, number } = stamp
    const seen = this.#seen.get(producer) ?? new Seen()
    this.#seen.set(producer, seen)
    if (seen.has(number)) {
      this.#duplicates++
      this.#example(`partition ${partition}, offset ${offset}: record ${number} of producer ${producer} again`)
      return stamp
    }
    seen.add(number)
    const lane = producer * 0x10000 + partition
    const last = this.#last.get(lane) ?? -1
    if (number < last) {
      this.#outOfOrder++
      this.#example(`partition ${partition}, offset ${offset}: record ${number} of producer ${producer} after ${last}`)
    } else this.#last.set(lane, number)
    return stamp
  }

  finish(sent: readonly SentRecords[]): Verification {
    let missing = 0
    for (const { producer, count, doubtful } of sent) {
      const seen = this.#seen.get(producer) ?? new Seen()
      let range = 0
      for (let number = 0; number < count; number++) {
        while (range < doubtful.length && number >= doubtful[range]![1]) range++
        const isDoubtful = range < doubtful.length && number >= doubtful[range]![0]
        if (isDoubtful || seen.has(number)) continue
        missing++
        this.#example(`record ${number} of producer ${producer} was acknowledged and is not there`)
      }
    }
    return {
      received: this.received,
      missing,
      duplicates: this.#duplicates,
      outOfOrder: this.#outOfOrder,
      damaged: this.#damaged,
      examples: this.#examples,
    }
  }

  #example(text: string): void {
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(text)
  }
}

/** Numbers in any order as ranges in theirs. */
export function rangesOf(numbers: readonly number[]): [number, number][] {
  const ranges: [number, number][] = []
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && number <= last[1]) last[1] = Math.max(last[1], number + 1)
    else ranges.push([number, number + 1])
  }
  return ranges
}
