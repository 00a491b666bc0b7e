/**
 * CPU, memory and traffic of other processes as Linux tells them: /proc/<pid>/stat, /status, /task, and io.ts. Elsewhere nothing is known
 * and the numbers are absent, never made up.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type IoReading, readIo } from './io.ts'

/** Fixed at 100 for user space on Linux whatever the kernel's own tick is. */
const TICKS_PER_SECOND = 100

export interface ProcessReading {
  readonly cpuSeconds: number
  /** CPU seconds of each thread that lives now, by thread id. */
  readonly threads: ReadonlyMap<number, number>
  readonly residentBytes: number
}

/** undefined once the process is gone, or where there is no /proc. */
export function readProcess(pid: number): ProcessReading | undefined {
  try {
    const threads = new Map<number, number>()
    for (const name of readdirSync(`/proc/${pid}/task`)) {
      const cpu = cpuOf(`/proc/${pid}/task/${name}/stat`)
      if (cpu !== undefined) threads.set(Number(name), cpu)
    }
    const cpuSeconds = cpuOf(`/proc/${pid}/stat`)
    if (cpuSeconds === undefined) return undefined
    return { cpuSeconds, threads, residentBytes: residentBytes(pid) ?? 0 }
  } catch {
    return undefined
  }
}

export function residentBytes(pid: number): number | undefined {
  try {
    const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
    return found === null ? undefined : Number(found[1]) * 1024
  } catch {
    return undefined
  }
}

/** Of a thread's or process's `stat`: its name and the CPU seconds it has used. */
export function statOf(text: string): { name: string; cpuSeconds: number } {
  // The name in parentheses may hold anything; fields 14 and 15 (user, system) are counted from after it.
  const end = text.lastIndexOf(')')
  const fields = text.slice(end + 2).split(' ')
  const cpuSeconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  return { name: text.slice(text.indexOf('(') + 1, end), cpuSeconds }
}

function cpuOf(path: string): number | undefined {
  try {
    return statOf(readFileSync(path, 'latin1')).cpuSeconds
  } catch {
    return undefined
  }
}

export interface ProcessUse {
  readonly cpuSeconds: number | null
  /** Largest resident set seen while measuring, bytes. */
  readonly rss: number | null
  /** CPU of the busiest thread over the time measured: an event loop or a sender thread near 1 is the limit. */
  readonly busiestThread: number | null
  readonly readBytes: number | null
  readonly writtenBytes: number | null
  readonly receivedBytes: number | null
  readonly sentBytes: number | null
}

const UNKNOWN_TRAFFIC = { readBytes: null, writtenBytes: null, receivedBytes: null, sentBytes: null }

/** Watches one process from `start` to `stop`. */
export class ProcessWatch {
  readonly pid: number
  #first: ProcessReading | undefined
  #firstIo: IoReading | undefined
  #startedMs = 0
  #rss = 0
  #timer: NodeJS.Timeout | undefined

  constructor(pid: number) {
    this.pid = pid
  }

  start(): void {
    this.#first = readProcess(this.pid)
    this.#firstIo = readIo(this.pid)
    this.#startedMs = performance.now()
    this.#rss = this.#first?.residentBytes ?? 0
    this.#timer = setInterval(() => {
      this.#rss = Math.max(this.#rss, residentBytes(this.pid) ?? 0)
    }, 250)
    this.#timer.unref()
  }

  stop(): ProcessUse {
    clearInterval(this.#timer)
    const last = readProcess(this.pid)
    if (this.#first === undefined || last === undefined) {
      return { cpuSeconds: null, rss: null, busiestThread: null, ...UNKNOWN_TRAFFIC }
    }
    const seconds = (performance.now() - this.#startedMs) / 1000
    let busiest = 0
    for (const [thread, cpu] of last.threads) {
      busiest = Math.max(busiest, (cpu - (this.#first.threads.get(thread) ?? 0)) / seconds)
    }
    return {
      cpuSeconds: Math.round((last.cpuSeconds - this.#first.cpuSeconds) * 100) / 100,
      rss: Math.max(this.#rss, last.residentBytes),
      busiestThread: Math.round(busiest * 1000) / 1000,
      ...this.#traffic(),
    }
  }

  #traffic(): typeof UNKNOWN_TRAFFIC | IoReading {
    const first = this.#firstIo
    const last = readIo(this.pid)
    if (first === undefined || last === undefined) return UNKNOWN_TRAFFIC
    const since = (from: number | null, to: number | null) =>
      from === null || to === null ? null : Math.max(0, to - from)
    return {
      readBytes: Math.max(0, last.readBytes - first.readBytes),
      writtenBytes: Math.max(0, last.writtenBytes - first.writtenBytes),
      receivedBytes: since(first.receivedBytes, last.receivedBytes),
      sentBytes: since(first.sentBytes, last.sentBytes),
    }
  }
}
