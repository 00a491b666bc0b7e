/** A stream for tests: feeds bytes to a receiver in reads of a chosen size, as long as it is not paused. */
import type { Part, Receiver, Stream } from '../../src/env/index.ts'

export class FakeStream implements Stream {
  readonly remote = 'fake:1'
  readonly localPort = 1
  pendingBytes = 0
  paused = false
  closed = false
  pauses = 0
  /** What was sent; `taken` settles them. */
  readonly sent: { parts: readonly Part[]; resolve: () => void; reject: (error: Error) => void }[] = []
  #receiver: Receiver | undefined
  #queue: Uint8Array[] = []
  #ended = false

  receive(receiver: Receiver): void {
    this.#receiver = receiver
  }

  pause(): void {
    if (!this.paused) this.pauses++
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  send(parts: readonly Part[]): Promise<void> {
    return new Promise((resolve, reject) => {
      for (const part of parts) this.pendingBytes += part.length
      this.sent.push({ parts, resolve, reject })
    })
  }

  /** The kernel takes the oldest send. */
  take(): readonly Part[] {
    const { parts, resolve } = this.sent.shift()!
    for (const part of parts) this.pendingBytes -= part.length
    resolve()
    return parts
  }

  close(): Promise<void> {
    this.end_()
    return Promise.resolve()
  }

  end(): Promise<void> {
    return this.close()
  }

  /** The peer sends. */
  arrive(bytes: Uint8Array): void {
    this.#queue.push(bytes)
  }

  get unread(): number {
    return this.#queue.reduce((sum, { length }) => sum + length, 0)
  }

  /** One read of at most `most` bytes; false when there is nothing to read or reading is paused. */
  read(most = Number.POSITIVE_INFINITY): boolean {
    if (this.paused || this.closed || this.#queue.length === 0) return false
    const room = this.#receiver!.room()
    let count = 0
    while (count < Math.min(most, room.length) && this.#queue.length > 0) {
      const chunk = this.#queue[0]!
      const taken = Math.min(chunk.length, Math.min(most, room.length) - count)
      room.set(chunk.subarray(0, taken), count)
      count += taken
      if (taken === chunk.length) this.#queue.shift()
      else this.#queue[0] = chunk.subarray(taken)
    }
    this.#receiver!.received(count)
    return true
  }

  readAll(most?: number): void {
    while (this.read(most)) {}
  }

  /** The peer's end, or a failure. */
  end_(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.closed = true
    for (const { reject } of this.sent.splice(0)) reject(error ?? new Error('closed'))
    this.#receiver?.ended(error)
  }
}

/** `length` bytes that tell frame `seed` from others, with their length in front. */
export function framed(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(4 + length)
  bytes.writeInt32BE(length)
  for (let i = 0; i < length; i++) bytes[4 + i] = (seed * 31 + i * 7 + (i >> 8)) & 0xff
  return bytes
}
