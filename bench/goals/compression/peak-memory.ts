/** The most memory that a process has held since a moment: Linux only, by /proc. */
import { readFileSync, writeFileSync } from 'node:fs'

export class PeakMemory {
  readonly #directory: string
  readonly #before: number

  /** From now on. Throws where there is no such thing. */
  constructor(pid: number | 'self') {
    this.#directory = `/proc/${pid}`
    writeFileSync(`${this.#directory}/clear_refs`, '5')
    this.#before = this.#bytes('VmRSS')
  }

  /** Bytes above what it held then. */
  extra(): number {
    return this.#bytes('VmHWM') - this.#before
  }

  #bytes(field: string): number {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`${this.#directory}/status`, 'latin1'))
    if (found === null) throw new Error(`no ${field} in ${this.#directory}/status`)
    return Number(found[1]) * 1024
  }
}
