/**
 * The ways between the hosts of a simulated network, one per direction: how long they take, how much they carry, and
 * whether anything gets through. What is sent on a way that is cut waits, as TCP sends it again: it goes on some time
 * after the way is healed, in its order.
 */
import type { Actor } from './scheduler.ts'
import type { SeededRandom } from './seeded-random.ts'

export interface LinkSettings {
  /** One way. */
  readonly latencyMs: number
  /** Up to this much is added, by chance. */
  readonly jitterMs: number
  readonly bytesPerMs: number
}

const DEFAULTS: LinkSettings = { latencyMs: 0.1, jitterMs: 0.2, bytesPerMs: 100_000 }
/** How long after a cut is healed a sender tries again, at most. */
const RETRY_MS_MAX = 300

class Link {
  settings: LinkSettings
  isCut = false
  /** What waits for the way to be healed. */
  readonly waiting: (() => void)[] = []

  constructor(settings: LinkSettings) {
    this.settings = settings
  }
}

export class Links {
  readonly #world: Actor
  readonly #random: SeededRandom
  readonly #defaults: LinkSettings
  /** From -> to. */
  readonly #links = new Map<string, Map<string, Link>>()
  /** Hosts without power: nothing reaches them. */
  readonly #down = new Set<string>()

  constructor(world: Actor, random: SeededRandom, defaults: Partial<LinkSettings> = {}) {
    this.#world = world
    this.#random = random
    this.#defaults = { ...DEFAULTS, ...defaults }
  }

  set(from: string, to: string, settings: Partial<LinkSettings>): void {
    const link = this.#link(from, to)
    link.settings = { ...link.settings, ...settings }
  }

  isOpen(from: string, to: string): boolean {
    return !this.#link(from, to).isCut && !this.#down.has(to)
  }

  cut(from: string, to: string): void {
    this.#link(from, to).isCut = true
  }

  heal(from: string, to: string): void {
    this.#link(from, to).isCut = false
    this.#goOn(from, to)
  }

  setDown(host: string): void {
    this.#down.add(host)
  }

  setUp(host: string): void {
    if (!this.#down.delete(host)) return
    for (const [from, links] of this.#links) if (links.has(host)) this.#goOn(from, host)
  }

  /** How long something is on its way. */
  delayMs(from: string, to: string): number {
    const { latencyMs, jitterMs } = this.#link(from, to).settings
    return latencyMs + jitterMs * this.#random.fraction()
  }

  /** How long the link is busy with so many bytes. */
  bytesMs(from: string, to: string, bytes: number): number {
    return bytes / this.#link(from, to).settings.bytesPerMs
  }

  /** Calls `arrive` when something sent now arrives; later when the way is cut. Nothing keeps it behind what was sent before. */
  travel(from: string, to: string, arrive: () => void, what: string): void {
    const land = (): void => {
      if (this.isOpen(from, to)) arrive()
      else this.#link(from, to).waiting.push(land)
    }
    this.#world.after(this.delayMs(from, to), land, what)
  }

  /** Calls `retry` some time after the way is open again. */
  whenOpen(from: string, to: string, retry: () => void): void {
    this.#link(from, to).waiting.push(retry)
  }

  #goOn(from: string, to: string): void {
    if (!this.isOpen(from, to)) return
    for (const retry of this.#link(from, to).waiting.splice(0)) {
      this.#world.after(RETRY_MS_MAX * this.#random.fraction(), retry, 'retransmit')
    }
  }

  #link(from: string, to: string): Link {
    let links = this.#links.get(from)
    if (links === undefined) {
      links = new Map()
      this.#links.set(from, links)
    }
    let link = links.get(to)
    if (link === undefined) {
      link = new Link(this.#defaults)
      links.set(to, link)
    }
    return link
  }
}
