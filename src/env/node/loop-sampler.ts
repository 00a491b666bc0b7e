/**
 * Measures the event loop of this thread by a timer of 5 ms. Each time it fires it takes down
 *
 *   delay   how late it fired, less what the scheduler kept the thread off the CPU meanwhile: that part is the machine's
 *           fault (a busy neighbour), not ours
 *   cpu     CPU time of the thread since the last time, over the turns of the loop since then (libuv counts them): the
 *           work that was done between two looks for what is ready. A mean, but over few turns: in 5 ms there are many
 *           only when they are short
 *
 * The scheduler's numbers are the first two fields of /proc/self/task/<tid>/schedstat (nanoseconds on the CPU, and
 * runnable but waiting); where there is no such file the delay is taken whole and cpu is not known. For the main thread
 * only: its thread id is the process id. Two hundred wake-ups and small reads a second cost an idle process about 2 % of
 * a core (measured on a virtual machine). One that backs off therefore looks every 100 ms after a second without work,
 * and again every 5 ms from the moment `busy` tells of some, so that what follows is seen; quiet time then counts for
 * less among the turns. A turn that nobody tells of may pass unseen between two of the rare looks. What a quiet process
 * does at times (a heartbeat, a look at its logs) is no work: it would have it look often for a second, which costs more.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { performance } from 'node:perf_hooks'

const PERIOD_MS = 5
const IDLE_PERIOD_MS = 100
/** So many turns without work make it back off. */
const QUIET_TURNS = 200
/** Less CPU time than this between two looks is no work: the looks themselves take some. */
const QUIET_CPU_MS = 1
/** The same share of the time, between two of the rare looks. */
const IDLE_QUIET_CPU_MS = (QUIET_CPU_MS * IDLE_PERIOD_MS) / PERIOD_MS

/** Milliseconds over all turns seen. */
export interface Distribution {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export interface LoopDelay {
  readonly turns: number
  readonly delayMs: Distribution
  /** CPU time of a turn. Absent where the platform does not tell. */
  readonly cpuMs?: Distribution
}

export interface LoopSampler {
  snapshot(): LoopDelay
  /** There is work now. Cheap: to be called for every request. */
  busy(): void
  /** Whether it has backed off. */
  readonly idle: boolean
  /** Forgets what was measured so far. */
  reset(): void
  close(): void
}

/** `backsOff`: looks seldom while there is no work; whoever sets it calls `busy`. */
export function startLoopSampler(options: { backsOff?: boolean; quietTurns?: number } = {}): LoopSampler {
  return new TimerSampler(options.backsOff === true ? (options.quietTurns ?? QUIET_TURNS) : Number.POSITIVE_INFINITY)
}

/** CPU time and memory of this process. */
export function processUsage(): { readonly cpuSeconds: number; readonly rss: number } {
  const { user, system } = process.cpuUsage()
  return { cpuSeconds: (user + system) / 1e6, rss: process.memoryUsage.rss() }
}

class TimerSampler implements LoopSampler {
  readonly #delay = new Histogram()
  readonly #cpu = new Histogram()
  readonly #schedule = ScheduleFile.open()
  readonly #quietTurnsMax: number
  #timer: NodeJS.Timeout | undefined
  #periodMs = 0
  #quietTurns = 0
  #firedMs = 0
  #cpuMs = 0
  #waitedMs = 0
  #loops = 0

  constructor(quietTurnsMax: number) {
    this.#quietTurnsMax = quietTurnsMax
    this.#look(PERIOD_MS)
  }

  get idle(): boolean {
    return this.#periodMs === IDLE_PERIOD_MS
  }

  busy(): void {
    this.#quietTurns = 0
    if (this.idle) this.#look(PERIOD_MS)
  }

  snapshot(): LoopDelay {
    const delayMs = this.#delay.distribution()
    const turns = this.#delay.count
    return this.#schedule ? { turns, delayMs, cpuMs: this.#cpu.distribution() } : { turns, delayMs }
  }

  reset(): void {
    this.#delay.clear()
    this.#cpu.clear()
    this.busy()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#schedule?.close()
  }

  /** From now on every `periodMs`. */
  #look(periodMs: number): void {
    clearInterval(this.#timer)
    this.#periodMs = periodMs
    this.#readSchedule()
    this.#countTurns()
    this.#firedMs = performance.now()
    this.#timer = setInterval(() => this.#fired(), periodMs).unref()
  }

  #fired(): void {
    const nowMs = performance.now()
    const lateMs = nowMs - this.#firedMs - this.#periodMs
    this.#firedMs = nowMs
    const { cpuMs, waitedMs } = this.#readSchedule()
    this.#delay.add(Math.max(0, lateMs - waitedMs))
    this.#cpu.add(cpuMs / Math.max(1, this.#countTurns()))
    if (cpuMs >= (this.idle ? IDLE_QUIET_CPU_MS : QUIET_CPU_MS)) this.busy()
    else if (++this.#quietTurns >= this.#quietTurnsMax && !this.idle) this.#look(IDLE_PERIOD_MS)
  }

  /** Turns of the event loop since the last call. */
  #countTurns(): number {
    const { loopCount } = performance.nodeTiming.uvMetricsInfo
    const turns = loopCount - this.#loops
    this.#loops = loopCount
    return turns
  }

  /** Growth since the last call. */
  #readSchedule(): { cpuMs: number; waitedMs: number } {
    if (!this.#schedule) return { cpuMs: 0, waitedMs: 0 }
    const now = this.#schedule.read()
    const growth = { cpuMs: now.cpuMs - this.#cpuMs, waitedMs: now.waitedMs - this.#waitedMs }
    this.#cpuMs = now.cpuMs
    this.#waitedMs = now.waitedMs
    return growth
  }
}

class ScheduleFile {
  readonly #descriptor: number
  readonly #bytes = new Uint8Array(96)

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  static open(): ScheduleFile | undefined {
    try {
      return new ScheduleFile(openSync(`/proc/self/task/${process.pid}/schedstat`, 'r'))
    } catch {
      return undefined
    }
  }

  read(): { cpuMs: number; waitedMs: number } {
    const length = readSync(this.#descriptor, this.#bytes, 0, this.#bytes.length, 0)
    let at = 0
    const next = (): number => {
      let value = 0
      for (; at < length && this.#bytes[at]! >= 48; at++) value = value * 10 + this.#bytes[at]! - 48
      at++
      return value
    }
    return { cpuMs: next() / 1e6, waitedMs: next() / 1e6 }
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

/** Counts in steps of 50 µs up to 20 ms, then of 1 ms up to 2 s; the maximum is exact. */
class Histogram {
  static readonly #fine = 400
  static readonly #coarse = 1980
  readonly #counts = new Uint32Array(Histogram.#fine + Histogram.#coarse + 1)
  #max = 0
  count = 0

  add(ms: number): void {
    const slot = ms < 20 ? Math.floor(ms * 20) : Histogram.#fine + Math.min(Histogram.#coarse, Math.floor(ms - 20))
    this.#counts[slot]!++
    this.count++
    if (ms > this.#max) this.#max = ms
  }

  clear(): void {
    this.#counts.fill(0)
    this.count = 0
    this.#max = 0
  }

  distribution(): Distribution {
    return { p50: this.#quantile(0.5), p99: this.#quantile(0.99), max: round(this.#max) }
  }

  /** Upper edge of the step that holds the quantile. */
  #quantile(share: number): number {
    let left = Math.ceil(this.count * share)
    for (let slot = 0; slot < this.#counts.length && left > 0; slot++) {
      left -= this.#counts[slot]!
      if (left > 0) continue
      const edge = slot < Histogram.#fine ? (slot + 1) / 20 : 20 + slot - Histogram.#fine + 1
      return round(Math.min(edge, this.#max))
    }
    return 0
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
