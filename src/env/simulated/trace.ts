/**
 * What happened in a simulation, as one number: two runs with the same hash went the same way. The last events are kept
 * as text, to look at when something went wrong.
 */

const KEPT_LINES = 2000

interface Line {
  readonly timeMs: number
  readonly who: string
  readonly what: string
  readonly detail: number
}

export class Trace {
  #a = 0x811c9dc5
  #b = 0x9e3779b9
  #events = 0
  readonly #words = new Map<string, number>()
  readonly #lines: Line[] = []

  /** Events so far. */
  get events(): number {
    return this.#events
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return hex(this.#a) + hex(this.#b)
  }

  add(timeMs: number, who: string, what: string, detail = 0): void {
    const line = { timeMs, who, what, detail }
    this.#lines[this.#events % KEPT_LINES] = line
    this.#events++
    // Microseconds: what is finer may differ by the order of additions.
    this.#mix(Math.round(timeMs * 1000))
    this.#mix(this.#wordOf(who))
    this.#mix(this.#wordOf(what))
    this.#mix(detail)
  }

  /** The last events, oldest first, one line each. */
  toString(): string {
    const from = this.#events % KEPT_LINES
    const lines = this.#events > KEPT_LINES ? [...this.#lines.slice(from), ...this.#lines.slice(0, from)] : this.#lines
    return lines.map(({ timeMs, who, what, detail }) => `${timeMs.toFixed(3)} ${who} ${what} ${detail}`).join('\n')
  }

  #mix(value: number): void {
    const low = value | 0
    const high = Math.floor(value / 2 ** 32) | 0
    this.#a = Math.imul(this.#a ^ low, 0x01000193) ^ (this.#b >>> 15)
    this.#b = Math.imul(this.#b ^ high ^ (this.#a >>> 7), 0x85ebca6b) + low
  }

  #wordOf(text: string): number {
    let word = this.#words.get(text)
    if (word === undefined) {
      word = 0
      for (let at = 0; at < text.length; at++) word = (Math.imul(word, 31) + text.charCodeAt(at)) | 0
      this.#words.set(text, word)
    }
    return word
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0')
}
