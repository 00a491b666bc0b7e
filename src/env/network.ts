/**
 * `Network`: byte streams. Received bytes go straight into memory that the receiver names, sent bytes are a list of
 * memory and file regions.
 */
import type { FileRegion } from './disk.ts'

/** One thing to send. */
export type Part = Uint8Array | FileRegion

/** Takes the bytes of a stream. All three are called by the stream, never re-entrantly. */
export interface Receiver {
  /**
   * Where the next bytes go: at least one byte of room; valid until `received` was called for it. Asked anew after every
   * `received`. It may be memory that all streams share: write to it right before `received`, in one step.
   */
  room(): Uint8Array
  /** `count` bytes were put at the start of the last `room()`. */
  received(count: number): void
  /** The stream is over, nothing more comes: by the peer's end or our close (no error), or by a failure. Called once. */
  ended(error?: Error): void
}

export interface Stream {
  /** `host:port` of the peer. */
  readonly remote: string
  /** Port on our side. */
  readonly localPort: number
  /** Bytes accepted by `send` that the kernel has not taken yet. */
  readonly pendingBytes: number

  /** Starts delivery; before it nothing is read from the socket. Called once. */
  receive(receiver: Receiver): void
  /** Stops reading from the socket (back-pressure towards the peer); at most one more `received` follows. */
  pause(): void
  resume(): void

  /**
   * Queues the parts behind all earlier ones; resolves when the kernel has taken them all. The bytes must not change
   * until then. Regions are released by the stream whatever happens. Rejects with PAGELOG_DISCONNECTED when the stream
   * ends first.
   */
  send(parts: readonly Part[]): Promise<void>

  /** Ends the stream at once, dropping what is not sent; a pool call in flight is waited for before the descriptor closes. Idempotent. */
  close(): Promise<void>
  /** Sends what is queued, then closes. */
  end(): Promise<void>
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting; open streams live on. */
  close(): Promise<void>
}

export interface ListenOptions {
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  /** Connections that may wait to be accepted. */
  readonly backlog?: number
  /** About half of the unsent bytes of an accepted stream that the kernel keeps: a wish. -1, or none: as it likes. */
  readonly sendBufferBytes?: number
}

export interface Network {
  /** Error: PAGELOG_INVALID_ARGUMENT with cause (address in use, no permission). */
  listen(options: ListenOptions, accept: (stream: Stream) => void): Promise<Listener>
  /** Error: PAGELOG_DISCONNECTED with cause, PAGELOG_TIMED_OUT. */
  connect(options: { host: string; port: number; timeoutMs: number }): Promise<Stream>
}
