/**
 * The limits that all logs of a directory share: how many segment files are open at the same time and how much memory
 * their indexes take. A segment, active or sealed, is opened and loaded when it is used, and the least recently used
 * ones are unloaded for others (second chance: one that was used since it was last looked at is passed over once).
 * Pinned segments stay; one with bytes that are not on the device is synced first, and its indexes are written. When
 * everything is in use the limits are exceeded rather than anybody kept waiting.
 */
import { Mutex } from '../base/index.ts'
import type { LogDirectorySettings } from './log-settings.ts'
import type { Segment } from './segment.ts'

/** Each may open index files and wait for the device. */
const UNLOADS_AT_ONCE = 8

export type SegmentCacheLimits = Pick<LogDirectorySettings, 'openSegmentsMax' | 'indexMemoryMaxBytes'>

/** Brings a segment that nobody uses to the device where it must, and unloads it, unless it is used by then. */
export type Unload = (segment: Segment) => Promise<void>

export class SegmentCache {
  readonly #limits: SegmentCacheLimits
  /** Open ones; those that come first were used least recently, or were not looked at for the longest time. */
  readonly #open = new Map<Segment, Unload>()
  readonly #admission = new Mutex()
  /** On their way to be open; whoever is admitted next may wait for one of them. */
  #opening = 0
  #onOpened: (() => void) | undefined
  #indexBytes = 0
  #trimming: Promise<void> | undefined

  constructor(limits: SegmentCacheLimits) {
    this.#limits = limits
  }

  get openSegments(): number {
    return this.#open.size
  }
  get indexBytes(): number {
    return this.#indexBytes
  }

  /** The file of a segment was opened. */
  opened(segment: Segment, unload: Unload): void {
    segment.wasUsed = true
    this.#open.set(segment, unload)
  }
  /** Its file was closed; what its indexes took is given back by `indexGrew`. */
  closed(segment: Segment): void {
    this.#open.delete(segment)
  }
  indexGrew(bytes: number): void {
    this.#indexBytes += bytes
    if (bytes > 0 && this.#indexBytes > this.#limits.indexMemoryMaxBytes) this.#trim()
  }

  /** Runs `open`, which opens one more segment, once there is room for it. It must not wait for another `within`. */
  async within<T>(open: () => Promise<T>): Promise<T> {
    await this.#admission.run(async () => {
      await this.#makeRoom()
      this.#opening++
    })
    try {
      return await open()
    } finally {
      this.#opening--
      this.#onOpened?.()
    }
  }

  async #makeRoom(): Promise<void> {
    let attempts = this.#open.size
    while (this.#open.size + this.#opening >= this.#limits.openSegmentsMax) {
      const victims = attempts > 0 ? this.#victims() : []
      attempts -= victims.length
      if (victims.length > 0) await Promise.all(victims.map((victim) => this.#unload(victim)))
      else if (this.#opening === 0) return
      else await this.#nextOpened()
    }
  }

  #nextOpened(): Promise<void> {
    return new Promise((resolve) => {
      this.#onOpened = resolve
    })
  }

  /** Unloads until the indexes are within their limit, one run at a time and behind whoever exceeded it. */
  #trim(): void {
    this.#trimming ??= this.#trimIndexes().finally(() => {
      this.#trimming = undefined
    })
  }

  async #trimIndexes(): Promise<void> {
    await Promise.resolve() // whoever loads a segment pins it first
    for (let left = this.#open.size; left > 0 && this.#indexBytes > this.#limits.indexMemoryMaxBytes; left--) {
      const victim = this.#victim()
      if (victim === undefined) return
      await this.#unload(victim)
    }
  }

  #victims(): Segment[] {
    const victims = new Set<Segment>()
    while (victims.size < UNLOADS_AT_ONCE) {
      const victim = this.#victim()
      if (victim === undefined || victims.has(victim)) break
      victims.add(victim)
    }
    return [...victims]
  }

  #victim(): Segment | undefined {
    for (let left = 2 * this.#open.size; left > 0; left--) {
      const [segment, unload] = this.#open.entries().next().value!
      const isSpared = segment.wasUsed || segment.pins > 0
      segment.wasUsed = false
      this.#open.delete(segment)
      this.#open.set(segment, unload)
      if (!isSpared) return segment
    }
    return undefined
  }

  async #unload(segment: Segment): Promise<void> {
    const unload = this.#open.get(segment)
    if (unload !== undefined) await unload(segment).catch(() => {}) // its log is offline and says so itself
  }
}

/** What one log has in the cache of its directory. */
export class CacheShare {
  readonly cache: SegmentCache
  /** Set by the log once it stands. Before, nothing of it is unloaded for others. */
  unload: Unload = async () => {}
  readonly #running = new Set<Promise<void>>()
  readonly #unload: Unload = async (segment) => {
    const running = this.unload(segment).finally(() => this.#running.delete(running))
    this.#running.add(running)
    await running
  }

  constructor(cache: SegmentCache) {
    this.cache = cache
  }

  opened(segment: Segment): void {
    this.cache.opened(segment, this.#unload)
  }

  /** Resolves when none of its segments is being unloaded for others. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#running)
  }
}
