/**
 * Memory in which records are encoded: spaces cut from chunks one after the other. A chunk is used again from its start
 * when every batch in it was written. The logs of a process share them, so that ten thousand quiet logs hold none.
 */
import { assert } from '../base/index.ts'

const CHUNK_BYTES = 262_144
/** Idle chunks that are kept (4 MiB); what a burst needed above that goes back to the system. */
const IDLE_CHUNKS_MAX = 16

class Chunk {
  readonly bytes: Uint8Array
  /** Bytes in front that are given out. */
  used = 0
  /** Spaces in it that are not released. */
  holders = 0

  constructor(byteLength: number) {
    this.bytes = new Uint8Array(byteLength)
  }
}

/** Room for one batch; to be released once. */
export class EncodeSpace {
  readonly chunk: Chunk
  readonly bytes: Uint8Array
  readonly end: number

  constructor(chunk: Chunk, byteLength: number) {
    const start = chunk.used
    this.chunk = chunk
    this.end = start + byteLength
    this.bytes = chunk.bytes.subarray(start, this.end)
  }
}

export class EncodeBuffers {
  readonly #idle: Chunk[] = []
  #current = new Chunk(0)

  get idleBytes(): number {
    return this.#idle.length * CHUNK_BYTES
  }

  take(byteLength: number): EncodeSpace {
    let chunk = this.#current
    if (byteLength > CHUNK_BYTES) chunk = new Chunk(byteLength)
    else if (chunk.bytes.length - chunk.used < byteLength) {
      chunk = this.#idle.pop() ?? new Chunk(CHUNK_BYTES)
      this.#retire(this.#current)
      this.#current = chunk
    }
    const space = new EncodeSpace(chunk, byteLength)
    chunk.used = space.end
    chunk.holders++
    return space
  }

  /** The batch has its final size: what it does not need may go to the next one. */
  shrink(space: EncodeSpace, byteLength: number): void {
    if (space.chunk.used === space.end) space.chunk.used = space.end - space.bytes.length + byteLength
  }

  /** Nothing reads or writes the space any more. */
  release({ chunk }: EncodeSpace): void {
    assert(chunk.holders > 0, 'an encode space is released once')
    chunk.holders--
    if (chunk.holders === 0) chunk.used = 0
    if (chunk !== this.#current) this.#retire(chunk)
  }

  #retire(chunk: Chunk): void {
    const isWanted = chunk.bytes.length === CHUNK_BYTES && this.#idle.length < IDLE_CHUNKS_MAX
    if (isWanted && chunk.holders === 0) this.#idle.push(chunk)
  }
}

/** Of this process. */
export const encodeBuffers = new EncodeBuffers()
