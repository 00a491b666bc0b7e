/**
 * What a person sees while it runs: on a terminal one line that is rewritten (what runs, how fast, time left), elsewhere
 * a plain line per run. Goes to standard error, so that standard output holds results only.
 */
export class Progress {
  readonly #out: NodeJS.WriteStream
  readonly #quiet: boolean
  readonly #steps: number
  readonly #startedMs = performance.now()
  #done = 0
  #title = ''
  #lastWriteMs = 0
  #lastRecords = 0
  #lastAtMs = 0
  #rate = 0

  constructor(steps: number, options: { quiet?: boolean; out?: NodeJS.WriteStream } = {}) {
    this.#steps = steps
    this.#quiet = options.quiet ?? false
    this.#out = options.out ?? process.stderr
  }

  begin(title: string): void {
    this.#title = title
    this.#lastRecords = 0
    this.#lastAtMs = performance.now()
    this.#rate = 0
    this.#draw('', true)
  }

  phase(phase: string, records: number): void {
    const nowMs = performance.now()
    if (records > this.#lastRecords && nowMs - this.#lastAtMs > 200) {
      this.#rate = ((records - this.#lastRecords) * 1000) / (nowMs - this.#lastAtMs)
      this.#lastRecords = records
      this.#lastAtMs = nowMs
    }
    this.#draw(`${phase}${this.#rate > 0 ? `  ${formatRate(this.#rate)} rec/s` : ''}`, false)
  }

  /** A run is over; `outcome` is kept on the screen. */
  end(outcome: string): void {
    this.#done++
    this.line(`${this.#title.padEnd(58)} ${outcome}`)
  }

  line(text: string): void {
    if (this.#quiet) return
    this.#clear()
    this.#out.write(`${text}\n`)
  }

  #draw(text: string, force: boolean): void {
    if (this.#quiet || !this.#out.isTTY) return
    const nowMs = performance.now()
    if (!force && nowMs - this.#lastWriteMs < 100) return
    this.#lastWriteMs = nowMs
    const left = this.#secondsLeft(nowMs)
    const line = `${this.#title}  ${text}${left === undefined ? '' : `  about ${formatSeconds(left)} left`}`
    this.#clear()
    this.#out.write(line.slice(0, Math.max(20, (this.#out.columns ?? 80) - 1)))
  }

  #secondsLeft(nowMs: number): number | undefined {
    if (this.#done === 0) return undefined
    return (((nowMs - this.#startedMs) / this.#done) * (this.#steps - this.#done)) / 1000
  }

  #clear(): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }
}

/** `6.12 M`, `845 k`, `312`. */
export function formatRate(recordsPerSecond: number): string {
  if (recordsPerSecond >= 9.995e5) return `${(recordsPerSecond / 1e6).toFixed(recordsPerSecond >= 9.995e6 ? 1 : 2)} M`
  if (recordsPerSecond >= 1000) return `${(recordsPerSecond / 1000).toFixed(recordsPerSecond >= 99_950 ? 0 : 1)} k`
  return recordsPerSecond.toFixed(0)
}

export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`
}

/** `0.21 ms`, `1.4 ms`, `12 ms`. */
export function formatMs(milliseconds: number): string {
  const digits = milliseconds < 1 ? 3 : milliseconds < 10 ? 2 : milliseconds < 100 ? 1 : 0
  return `${milliseconds.toFixed(digits)} ms`
}

/** `40.0 GiB`, `512 MiB`, `1.2 MiB`. */
export function formatGiB(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(1)} GiB`
  return `${(bytes / 2 ** 20).toFixed(bytes >= 10 * 2 ** 20 ? 0 : 1)} MiB`
}

export function formatMiB(bytes: number): string {
  return `${(bytes / 1048576).toFixed(0)} MiB`
}
