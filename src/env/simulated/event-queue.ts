/** What happens later, in the order of time; of two things due at once the lower `tie` is first, then the one set first. */

export interface QueuedEvent {
  readonly dueMs: number
  readonly tie: number
  /** Of setting: from `nextOrder`. */
  readonly order: number
  readonly isCancelled: boolean
}

/** Cancelled events stay until their time comes, or until they are this many and half of all. */
const CANCELLED_MIN = 1024

/** A binary heap. */
export class EventQueue<E extends QueuedEvent> {
  #heap: E[] = []
  #order = 0
  #cancelled = 0

  /** Those that are not cancelled. */
  get size(): number {
    return this.#heap.length - this.#cancelled
  }

  nextOrder(): number {
    return this.#order++
  }

  push(event: E): void {
    this.#heap.push(event)
    this.#up(this.#heap.length - 1)
  }

  /** The first of all that is not cancelled; undefined when there is none. */
  peek(): E | undefined {
    while (this.#heap[0]?.isCancelled === true) {
      this.#take()
      this.#cancelled--
    }
    return this.#heap[0]
  }

  pop(): E | undefined {
    return this.peek() === undefined ? undefined : this.#take()
  }

  /** An event in the queue has just been cancelled. */
  noteCancelled(): void {
    this.#cancelled++
    if (this.#cancelled < CANCELLED_MIN || this.#cancelled * 2 < this.#heap.length) return
    const kept = this.#heap.filter((event) => !event.isCancelled)
    this.#heap = []
    this.#cancelled = 0
    for (const event of kept) this.push(event)
  }

  #take(): E {
    const first = this.#heap[0]!
    const last = this.#heap.pop()!
    if (this.#heap.length > 0) {
      this.#heap[0] = last
      this.#down(0)
    }
    return first
  }

  #up(from: number): void {
    const heap = this.#heap
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(heap[at]!, heap[parent]!)) return
      swap(heap, at, parent)
      at = parent
    }
  }

  #down(from: number): void {
    const heap = this.#heap
    let at = from
    for (;;) {
      const left = 2 * at + 1
      let least = at
      if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left
      if (left + 1 < heap.length && isBefore(heap[left + 1]!, heap[least]!)) least = left + 1
      if (least === at) return
      swap(heap, at, least)
      at = least
    }
  }
}

function isBefore(a: QueuedEvent, b: QueuedEvent): boolean {
  if (a.dueMs !== b.dueMs) return a.dueMs < b.dueMs
  if (a.tie !== b.tie) return a.tie < b.tie
  return a.order < b.order
}

function swap<E>(heap: E[], a: number, b: number): void {
  const event = heap[a]!
  heap[a] = heap[b]!
  heap[b] = event
}
