/**
 * Where the command's log lines go: to a file descriptor, off the event loop, in their order. A disk that stalls or is
 * full must not end the process nor fill its memory: what does not fit is dropped, counted, and told of by a line as soon
 * as lines can be written again. (pino's own destination ends the process on ENOSPC, and never leaves `flushSync` then.)
 */
import { write, writeSync } from 'node:fs'

/** How the descriptor is written to; tests have their own. */
export interface LogCalls {
  write(bytes: Uint8Array, done: (error: NodeJS.ErrnoException | null, written: number) => void): void
  writeSync(bytes: Uint8Array): number
  nowMs(): number
  soon(callback: () => void): void
  later(ms: number, callback: () => void): void
}

/** Lines that wait for a stalled disk; more are dropped. */
export const LOG_WAITING_BYTES_MAX = 4 * 1024 * 1024
/** What is written by one call. */
const WRITE_BYTES_MAX = 64 * 1024
/** A pipe whose reader is slow. */
const BUSY_MS = 100
/** How often a busy pipe is tried at the process's end. */
const BUSY_TRIES = 20
const WARN = 40

export class LogDestination {
  readonly #calls: LogCalls
  #lines: Uint8Array[] = []
  #bytes = 0
  /** A write is under way, or will be in this turn of the event loop. */
  #isWriting = false
  #dropped = 0

  constructor(calls: LogCalls = callsOf(2)) {
    this.#calls = calls
  }

  /** One line, with its end. */
  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#bytes + bytes.length > LOG_WAITING_BYTES_MAX) {
      this.#dropped++
      return
    }
    this.#lines.push(bytes)
    this.#bytes += bytes.length
    if (this.#isWriting) return
    this.#isWriting = true
    // A line that is said right before the process ends is left to flushSync.
    this.#calls.soon(() => this.#writeNext())
  }

  /** Before the process ends: writes what waits, and `last`, as far as it can be written. */
  flushSync(last = ''): void {
    let bytes: Uint8Array = Buffer.concat([...this.#lines, Buffer.from(last)])
    this.#bytes -= bytes.length - Buffer.byteLength(last)
    this.#lines = []
    for (let tries = 0; bytes.length > 0 && tries < BUSY_TRIES; ) {
      try {
        bytes = bytes.subarray(this.#calls.writeSync(bytes))
      } catch (error) {
        if (!isBusy(error)) return
        tries++
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS)
      }
    }
  }

  #writeNext(): void {
    this.#isWriting = this.#lines.length > 0
    if (!this.#isWriting) return
    let length = 0
    let count = 0
    for (const { length: its } of this.#lines) {
      if (count > 0 && length + its > WRITE_BYTES_MAX) break
      length += its
      count++
    }
    const bytes = Buffer.concat(this.#lines.splice(0, count))
    this.#writeAll(bytes, (isWritten) => {
      this.#bytes -= bytes.length
      if (!isWritten) this.#dropped += count
      else if (this.#dropped > 0) this.#tellDropped()
      this.#writeNext()
    })
  }

  #writeAll(bytes: Uint8Array, done: (isWritten: boolean) => void): void {
    this.#calls.write(bytes, (error, written) => {
      if (isBusy(error)) this.#calls.later(BUSY_MS, () => this.#writeAll(bytes, done))
      else if (error) done(false)
      else if (written < bytes.length) this.#writeAll(bytes.subarray(written), done)
      else done(true)
    })
  }

  #tellDropped(): void {
    const msg = 'lines of this log are missing: it could not be written'
    const line = { level: WARN, time: this.#calls.nowMs(), dropped: this.#dropped, msg }
    this.#dropped = 0
    this.write(`${JSON.stringify(line)}\n`)
  }
}

function isBusy(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return code === 'EAGAIN' || code === 'EBUSY'
}

export function callsOf(fd: number): LogCalls {
  return {
    write: (bytes, done) => write(fd, bytes, done),
    writeSync: (bytes) => writeSync(fd, bytes),
    nowMs: () => Date.now(),
    soon: (callback) => void setImmediate(callback),
    later: (ms, callback) => void setTimeout(callback, ms).unref(),
  }
}
