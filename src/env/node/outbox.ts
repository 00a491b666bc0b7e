/**
 * The outbox of a connection owns every byte that leaves it (design §3, decision 0001):
 *
 *   memory, small regions   gathered over all sends of a turn into one socket write; regions are read, in place when
 *                           their pages are in memory, else in the pool
 *   large regions           sendfile in the pool, on a descriptor dup'ed once, only while the socket's own write queue
 *                           is empty: one call sends a run of them with what little lies before and between them. When
 *                           the socket stays full the next 64 KiB go as an ordinary write, whose end says that the socket
 *                           takes bytes again.
 *
 * One step is under way at a time, so bytes cannot overtake each other. A region is released exactly once: when its last
 * byte was read or sent, or when the outbox closes; one that a pool call reads, after that call.
 */
import type { Socket } from 'node:net'
import { PagelogError } from '../../base/index.ts'
import { fileCalls } from '../../native/index.ts'
import type { FileRegion } from '../disk.ts'
import type { Part } from '../network.ts'
import { NodeRegion } from './file.ts'
import { PoolClass, poolSlots } from './thread-pool.ts'

/** Regions from here on go by sendfile; decision 0001 says how it was found. */
export const SEND_FILE_BYTES_MIN = 256 * 1024
/** One pool call sends no more, so that connections share the slots. */
const RUN_BYTES_MAX = 4 * 1024 * 1024
const RUN_PIECES_MAX = 64
/** So long in all a pool call waits for a full socket to take more, unless other connections wait for its slot. */
const PATIENCE_MS = 2
/** Stands for a descriptor: the piece is one of the bytes beside them. */
const OF_MEMORY = -1
/** Sent by socket write to learn when a full socket takes bytes again. */
const SIGNAL_BYTES = 64 * 1024
/** Read at a time from a region that does not go by sendfile. */
const READ_BYTES = 256 * 1024
/** One write, and the share of one turn of the event loop. */
const GATHER_BYTES = 512 * 1024
const TURN_BYTES = 1024 * 1024
/** Neighbours up to this length are copied together: cheaper than a piece of its own in the gathered write. */
const JOIN_BYTES = 2048
const KEPT_BUFFERS = 16

/** Read buffers that no write needs any more. */
const buffers: Buffer[] = []

/** One call of `send`. */
class Sending {
  readonly parts: readonly Part[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  /** The part that is next, and how much of it has been read or sent. */
  index = 0
  position = 0

  constructor(parts: readonly Part[], resolve: () => void, reject: (error: Error) => void) {
    this.parts = parts
    this.resolve = resolve
    this.reject = reject
  }

  get done(): boolean {
    return this.index === this.parts.length
  }

  /** The first `count` bytes that are left of the current part are dealt with. */
  pass(count: number): void {
    const part = this.parts[this.index]!
    this.position += count
    if (this.position < part.length) return
    this.index++
    this.position = 0
    if (isRegion(part)) part.release()
  }

  releaseRest(): void {
    for (; this.index < this.parts.length; this.index++) {
      const part = this.parts[this.index]!
      if (isRegion(part)) part.release()
    }
  }
}

/** What one pool call sends: regions, and copies of what little memory lies before and between them. */
class Run {
  byteLength = 0
  readonly #pieces: number[] = []
  readonly #memory: Uint8Array[] = []
  #memoryBytes = 0

  get pieces(): Float64Array {
    return new Float64Array(this.#pieces)
  }

  get memory(): Uint8Array {
    return this.#memory.length === 1 ? this.#memory[0]! : Buffer.concat(this.#memory, this.#memoryBytes)
  }

  /** Takes what is left of a part behind `from`; false when there is no more room. */
  take(part: Part, from: number): boolean {
    const length = Math.min(part.length - from, RUN_BYTES_MAX - this.byteLength)
    if (length <= 0) return part.length === from
    if (part instanceof NodeRegion) this.#pieces.push(part.fd, part.position + from, length)
    else {
      this.#pieces.push(OF_MEMORY, this.#memoryBytes, length)
      this.#memory.push((part as Uint8Array).subarray(from, from + length))
      this.#memoryBytes += length
    }
    this.byteLength += length
    return true
  }
}

export class Outbox {
  readonly #socket: Socket
  readonly #onFailure: (error: Error) => void
  /** To be dup'ed; undefined: nothing goes by sendfile. */
  #socketFd: number | undefined
  #duplicate: number | undefined
  /** Not yet read or sent in full. */
  #queue: Sending[] = []
  /** Read in full, in the write that is under way. */
  #inWrite: Sending[] = []
  #writeBytes = 0
  #writeBuffers: Buffer[] = []
  #pendingBytes = 0
  #writing = false
  /** A pool call on what the queue begins with is under way or waits for a slot: until then nothing of the queue is released. */
  #calling = false
  #socketFull = false
  #turnBytes = 0
  #scheduled = false
  #closed: Error | undefined
  #onCallOver: (() => void) | undefined
  readonly #onDrained: (() => void)[] = []

  /** `onFailure`: what was promised cannot be sent, so the stream must end. */
  constructor(socket: Socket, socketFd: number | undefined, onFailure: (error: Error) => void) {
    this.#socket = socket
    this.#socketFd = fileCalls === undefined ? undefined : socketFd
    this.#onFailure = onFailure
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  send(parts: readonly Part[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const sending = new Sending(parts, resolve, reject)
      if (this.#closed !== undefined) {
        sending.releaseRest()
        return reject(this.#closed)
      }
      for (let i = 0; i < parts.length; i++) this.#pendingBytes += parts[i]!.length
      this.#queue.push(sending)
      this.#schedule()
    })
  }

  /** Resolves when nothing is left to send, or nothing can be sent any more. */
  drained(): Promise<void> {
    if (this.#isIdle() || this.#closed !== undefined) return Promise.resolve()
    return new Promise((resolve) => this.#onDrained.push(resolve))
  }

  /**
   * Drops what is not sent and rejects it with `error`. Resolves when no pool call uses the socket any more and the
   * dup'ed descriptor is closed.
   */
  async close(error: Error): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = error
      const dropped = [...this.#inWrite, ...this.#queue]
      for (const sending of this.#inWrite) sending.releaseRest()
      if (!this.#calling) this.#releaseQueue()
      this.#inWrite = []
      this.#writeBuffers = []
      this.#writing = false
      this.#pendingBytes = 0
      for (const sending of dropped) sending.reject(error)
      for (const resolve of this.#onDrained.splice(0)) resolve()
    }
    if (this.#calling) {
      await new Promise<void>((resolve) => {
        const earlier = this.#onCallOver
        this.#onCallOver = () => {
          earlier?.()
          resolve()
        }
      })
    }
    if (this.#duplicate !== undefined) fileCalls!.close(this.#duplicate)
    this.#duplicate = undefined
  }

  /**
   * Nothing can be sent any more. A socket that failed has closed its descriptor some time before its `close` event ends
   * the outbox: meanwhile the number may be another socket's.
   */
  #isOver(): boolean {
    return this.#closed !== undefined || this.#socket.destroyed || this.#socket.errored !== null
  }

  #isIdle(): boolean {
    return this.#queue.length === 0 && !this.#writing
  }

  /** Sends of one turn leave together. */
  #schedule(): void {
    if (this.#scheduled || this.#writing || this.#calling) return
    this.#scheduled = true
    setImmediate(Outbox.#turn, this)
  }

  static #turn(outbox: Outbox): void {
    outbox.#scheduled = false
    outbox.#turnBytes = 0
    outbox.#advance()
  }

  /** Goes on until a step waits for the kernel or the pool. */
  #advance(): void {
    while (!this.#writing && !this.#calling && !this.#isOver() && this.#queue.length > 0) {
      if (this.#turnBytes >= TURN_BYTES) {
        this.#schedule()
        return
      }
      const socketFd = this.#isRunNext() ? this.#socketFdForPool() : undefined
      if (socketFd !== undefined) this.#sendRun(socketFd)
      else this.#gather()
    }
    if (this.#isIdle() && this.#onDrained.length > 0) for (const resolve of this.#onDrained.splice(0)) resolve()
  }

  /** Whether a large region comes next, behind no more than little that can go with it. */
  #isRunNext(): boolean {
    if (this.#socketFull) return false
    for (const part of this.#ahead()) {
      if (this.#goesBySendFile(part)) return true
      if (!isLittle(part)) return false
    }
    return false
  }

  /** The parts that are left, no more than may be in a run. */
  *#ahead(): Generator<Part> {
    let count = 0
    for (const { parts, index } of this.#queue) {
      for (let i = index; i < parts.length; i++) {
        if (count++ === RUN_PIECES_MAX) return
        yield parts[i]!
      }
    }
  }

  #goesBySendFile(part: Part): boolean {
    return this.#socketFd !== undefined && part.length >= SEND_FILE_BYTES_MIN && part instanceof NodeRegion
  }

  /** Writes as much as may go in one write, up to the next region for sendfile or the next cold page. */
  #gather(): void {
    const pieces: Uint8Array[] = []
    let byteLength = 0
    while (byteLength < GATHER_BYTES && this.#queue.length > 0) {
      const sending = this.#queue[0]!
      if (sending.done) {
        this.#inWrite.push(this.#queue.shift()!)
        continue
      }
      const part = sending.parts[sending.index]!
      let piece: Uint8Array | undefined
      if (!isRegion(part)) piece = part
      else if (part.length === 0) piece = noBytes
      else if (!this.#goesBySendFile(part)) piece = this.#tryRead(part, sending.position, READ_BYTES)
      else if (this.#socketFull) piece = this.#tryRead(part, sending.position, SIGNAL_BYTES)
      else break
      if (this.#closed !== undefined) return
      if (piece === undefined) {
        if (byteLength > 0) break
        const most = this.#goesBySendFile(part) ? SIGNAL_BYTES : READ_BYTES
        this.#readInPool(part as FileRegion, sending, most)
        return
      }
      if (isRegion(part) && this.#socketFull && this.#goesBySendFile(part)) this.#socketFull = false
      sending.pass(piece.length)
      byteLength += piece.length
      if (piece.length > 0) pieces.push(piece)
    }
    this.#write(pieces, byteLength)
  }

  /** Up to `most` bytes of the region that are in memory now; undefined: they must be waited for. */
  #tryRead(region: FileRegion, from: number, most: number): Uint8Array | undefined {
    const length = Math.min(most, region.length - from)
    const into = this.#buffer(length)
    let count: number
    try {
      count = region.file.tryRead(into, region.position + from)
    } catch (error) {
      this.#onFailure(error as Error)
      return undefined
    }
    if (count === length) return into
    keep(this.#writeBuffers.pop()!)
    if (count >= 0) this.#onFailure(endedEarly(region))
    return undefined
  }

  #readInPool(region: FileRegion, sending: Sending, most: number): void {
    const length = Math.min(most, region.length - sending.position)
    const into = this.#buffer(length)
    this.#calling = true
    region.file.read(into, region.position + sending.position).then(
      (count) => {
        if (this.#callIsOver() || this.#isOver()) return
        if (count < length) return this.#onFailure(endedEarly(region))
        sending.pass(length)
        this.#write([into], length)
        this.#advance()
      },
      (error) => {
        if (!this.#callIsOver()) this.#onFailure(error)
      },
    )
  }

  /** Without a free descriptor this connection's regions are read from now on. */
  #socketFdForPool(): number | undefined {
    try {
      this.#duplicate ??= fileCalls!.duplicate(this.#socketFd!)
    } catch {
      this.#socketFd = undefined
    }
    return this.#duplicate
  }

  #sendRun(socketFd: number): void {
    this.#calling = true
    poolSlots.enter(PoolClass.REGION_SEND, () => {
      if (this.#closed !== undefined) {
        this.#callIsOver()
        return poolSlots.leave(PoolClass.REGION_SEND)
      }
      const run = this.#nextRun()
      const patienceMs = poolSlots.waiting(PoolClass.REGION_SEND) === 0 ? PATIENCE_MS : 0
      fileCalls!.sendRun(socketFd, run.memory, run.pieces, patienceMs).then(
        (count) => {
          poolSlots.leave(PoolClass.REGION_SEND)
          if (this.#callIsOver()) return
          this.#pendingBytes -= count
          this.#socketFull = count < run.byteLength
          this.#pass(count)
          this.#advance()
        },
        (error) => {
          poolSlots.leave(PoolClass.REGION_SEND)
          if (!this.#callIsOver()) this.#onFailure(error.code === 'EOF' ? endedEarly(this.#firstRegion()) : error)
        },
      )
    })
  }

  #nextRun(): Run {
    const run = new Run()
    let position = this.#queue[0]!.position
    for (const part of this.#ahead()) {
      if (!isLittle(part) || !run.take(part, position)) break
      position = 0
    }
    return run
  }

  /** The first `count` bytes of the queue were sent. */
  #pass(count: number): void {
    for (let left = count; this.#queue.length > 0; ) {
      const sending = this.#queue[0]!
      if (sending.done) {
        this.#queue.shift()!.resolve()
        continue
      }
      if (left === 0) return
      const taken = Math.min(left, sending.parts[sending.index]!.length - sending.position)
      sending.pass(taken)
      left -= taken
    }
  }

  /** Only the first piece of a run is said to have ended. */
  #firstRegion(): FileRegion {
    const { parts, index } = this.#queue[0]!
    return parts[index] as FileRegion
  }

  /** True when the outbox was closed meanwhile; the regions that were in use are released now. */
  #callIsOver(): boolean {
    this.#calling = false
    if (this.#closed === undefined) return false
    this.#releaseQueue()
    this.#onCallOver?.()
    return true
  }

  #releaseQueue(): void {
    for (const sending of this.#queue.splice(0)) sending.releaseRest()
  }

  #write(pieces: Uint8Array[], byteLength: number): void {
    this.#writing = true
    this.#writeBytes = byteLength
    this.#turnBytes += byteLength
    if (byteLength > 0) {
      const joined = pieces.length > 1 ? joinSmall(pieces) : pieces
      const last = joined.length - 1
      if (last > 0) this.#socket.cork()
      for (let i = 0; i < last; i++) this.#socket.write(joined[i]!)
      this.#socket.write(joined[last]!, this.#onWritten)
      if (last > 0) this.#socket.uncork()
    }
    // Mostly the kernel takes all at once; the callback comes a little later then, and finds nothing to do.
    if (this.#socket.writableLength === 0 && !this.#isOver()) this.#written()
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error || !this.#writing || this.#socket.writableLength > 0) return
    this.#written()
    this.#turnBytes = 0
    this.#advance()
  }

  #written(): void {
    this.#writing = false
    this.#socketFull = false
    this.#pendingBytes -= this.#writeBytes
    for (const buffer of this.#writeBuffers) keep(buffer)
    this.#writeBuffers.length = 0
    const taken = this.#inWrite
    while (this.#queue.length > 0 && this.#queue[0]!.done) taken.push(this.#queue.shift()!)
    for (let i = 0; i < taken.length; i++) taken[i]!.resolve()
    taken.length = 0
  }

  /** Memory to read `length` bytes into; comes back by itself once they are written. */
  #buffer(length: number): Buffer {
    if (length <= JOIN_BYTES) {
      this.#writeBuffers.push(noBuffer)
      return Buffer.allocUnsafe(length)
    }
    const buffer =
      length <= SIGNAL_BYTES ? Buffer.allocUnsafeSlow(length) : (buffers.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES))
    this.#writeBuffers.push(buffer.length === READ_BYTES ? buffer : noBuffer)
    return buffer.subarray(0, length)
  }
}

const noBytes = new Uint8Array(0)
/** Stands for memory that is left to the garbage collector. */
const noBuffer = Buffer.alloc(0)

function keep(buffer: Buffer): void {
  if (buffer.length === READ_BYTES && buffers.length < KEPT_BUFFERS) buffers.push(buffer)
}

/** So small that it goes along with a run: copied, or sent from its file. */
function isLittle(part: Part): boolean {
  return part.length <= JOIN_BYTES || part instanceof NodeRegion
}

function isRegion(part: Part): part is FileRegion {
  return !(part instanceof Uint8Array)
}

function endedEarly(region: FileRegion): PagelogError {
  return new PagelogError('PAGELOG_STORAGE', `${region.file.path} ends within a region that was to be sent`, {
    path: region.file.path,
    position: region.position,
  })
}

/** Copies runs of small pieces together. */
function joinSmall(pieces: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = []
  for (let from = 0; from < pieces.length; ) {
    let to = from
    let byteLength = 0
    while (to < pieces.length && pieces[to]!.length <= JOIN_BYTES) byteLength += pieces[to++]!.length
    if (to - from < 2) {
      joined.push(pieces[from++]!)
      continue
    }
    const together = Buffer.allocUnsafe(byteLength)
    let end = 0
    for (; from < to; from++) {
      together.set(pieces[from]!, end)
      end += pieces[from]!.length
    }
    joined.push(together)
  }
  return joined
}
