/**
 * A file as the kernel and the device see it: what programs read (`content`), what the device surely has, and the
 * changes between the two. A crash decides sector by sector how much of them was written back before it:
 *
 *   - each sector holds what it held after some prefix of the writes to it, and may be torn in the middle of the next
 *   - a truncation is a point in the journal: without it, nothing behind it has happened
 *   - the size ends where the last surviving sector does, or already at its new value, with zeros in between
 */
import type { PagedBytes } from '../memory/paged-bytes.ts'
import { PagedBytes as Bytes } from '../memory/paged-bytes.ts'
import type { SeededRandom } from './seeded-random.ts'

export const SECTOR_BYTES = 512

/** Shares of sectors that a crash loses, keeps, or catches in between; and of files whose size ran ahead. */
const LOST = 0.3
const KEPT = 0.5
const TORN = 0.5
const SIZE_AHEAD = 0.15

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number }

/** How much of a sector survives: all changes before `until`, and `tornBytes` of that one. */
interface Fate {
  readonly until: number
  readonly tornBytes: number
}

export class VolatileFile {
  /** What reads see. */
  content: PagedBytes = new Bytes()
  modifiedMs: number
  reservedBytes = 0
  /** Names and open handles. */
  users = 0
  /** A sync has failed: what it should have written may be lost, and no later sync will write it. */
  hasFailedSync = false
  #durable: PagedBytes = new Bytes()
  /** Not yet on the device, oldest first; `#firstChange` is the number of the first of them. */
  #changes: Change[] = []
  #firstChange = 0

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs
  }

  get usedBytes(): number {
    return Math.max(this.content.size, this.reservedBytes)
  }

  /** Number of the next change: what a sync that begins now covers, exclusive. */
  get changeCount(): number {
    return this.#firstChange + this.#changes.length
  }

  /** Bytes of changes that a power loss may take. */
  get unsyncedChanges(): number {
    return this.#changes.length
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    const copy = bytes.slice()
    this.content.write(copy, position)
    this.#changes.push({ kind: 'write', position, bytes: copy })
  }

  truncate(size: number): void {
    if (size === this.content.size) return
    this.content.truncate(size)
    this.#changes.push({ kind: 'truncate', size })
  }

  /** All changes before number `end` are on the device. */
  sync(end: number): void {
    const count = Math.max(0, end - this.#firstChange)
    for (const change of this.#changes.splice(0, count)) {
      if (change.kind === 'write') this.#durable.write(change.bytes, change.position)
      else this.#durable.truncate(change.size)
    }
    this.#firstChange += count
  }

  /** A sync fails: some of the changes reach the device, and all count as clean from now on. Reads still see them. */
  failSync(random: SeededRandom): void {
    this.hasFailedSync = true
    this.#settle(random)
  }

  /** The power is gone: programs see from now on what the device has. */
  crash(random: SeededRandom): void {
    this.#settle(random)
    this.content = new Bytes()
    copyInto(this.content, this.#durable)
    this.reservedBytes = 0
    this.users = 1
    this.hasFailedSync = false
  }

  /** Flips a bit in the page cache and on the device. */
  flip(position: number, bit: number): void {
    for (const bytes of [this.content, this.#durable]) {
      if (position >= bytes.size) continue
      const byte = bytes.slice(position, position + 1)
      byte[0]! ^= 1 << bit
      bytes.write(byte, position)
    }
  }

  #settle(random: SeededRandom): void {
    const count = this.#survivingChanges(random)
    const fates = new Map<number, Fate>()
    let size = this.#durable.size
    for (const [index, change] of this.#changes.slice(0, count).entries()) {
      if (change.kind === 'truncate') {
        this.#durable.truncate(change.size)
        size = change.size
      } else {
        this.#writeSome(change.bytes, change.position, index, { fates, random, count })
        size = Math.max(size, change.position + change.bytes.length)
      }
    }
    if (size > this.#durable.size && random.chance(SIZE_AHEAD)) this.#durable.truncate(size)
    this.#firstChange += this.#changes.length
    this.#changes = []
  }

  /** All changes, or those before a truncation that did not make it. */
  #survivingChanges(random: SeededRandom): number {
    for (const [index, change] of this.#changes.entries()) {
      if (change.kind === 'truncate' && random.chance(LOST)) return index
    }
    return this.#changes.length
  }

  /** Those sectors of a write that outlived the crash. */
  #writeSome(
    bytes: Uint8Array,
    position: number,
    index: number,
    crash: { fates: Map<number, Fate>; random: SeededRandom; count: number },
  ): void {
    for (let done = 0; done < bytes.length; ) {
      const at = position + done
      const sector = Math.floor(at / SECTOR_BYTES)
      const length = Math.min((sector + 1) * SECTOR_BYTES - at, bytes.length - done)
      let fate = crash.fates.get(sector)
      if (fate === undefined) {
        fate = fateOf(crash.random, crash.count)
        crash.fates.set(sector, fate)
      }
      const kept = index < fate.until ? length : index === fate.until ? Math.min(length, fate.tornBytes) : 0
      if (kept > 0) this.#durable.write(bytes.subarray(done, done + kept), at)
      done += length
    }
  }
}

function fateOf(random: SeededRandom, count: number): Fate {
  const draw = random.fraction()
  if (draw < KEPT) return { until: count, tornBytes: 0 }
  if (draw < KEPT + LOST) return { until: 0, tornBytes: 0 }
  return { until: random.below(count), tornBytes: random.chance(TORN) ? random.below(SECTOR_BYTES) : 0 }
}

function copyInto(to: PagedBytes, from: PagedBytes): void {
  const piece = new Uint8Array(SECTOR_BYTES * 128)
  for (let position = 0; position < from.size; position += piece.length) {
    to.write(piece.subarray(0, from.read(piece, position)), position)
  }
}
