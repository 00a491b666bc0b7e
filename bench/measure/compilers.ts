/**
 * How much of their CPU JVMs spend on compiling, told by the names of their threads in /proc: unlike a rate it says
 * whether one that has been flat for half a minute is at its end or before its next step, however busy the machine is.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { statOf } from './processes.ts'

/** HotSpot's C1 and C2, as the kernel cuts their names off. */
const COMPILER = /^C[12] Compiler/

interface Reading {
  readonly compiling: ReadonlyMap<string, number>
  readonly all: number
}

function read(pid: number): Reading | undefined {
  try {
    const compiling = new Map<string, number>()
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const { name, cpuSeconds } = statOf(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'))
      if (COMPILER.test(name)) compiling.set(thread, cpuSeconds)
    }
    return { compiling, all: statOf(readFileSync(`/proc/${pid}/stat`, 'latin1')).cpuSeconds }
  } catch {
    // It ended, or a thread did while it was looked at, or there is no /proc.
    return undefined
  }
}

/** Looks at processes again and again. */
export class CompilerWatch {
  readonly #last: Map<number, Reading | undefined>

  constructor(pids: readonly number[]) {
    this.#last = new Map(pids.map((pid) => [pid, read(pid)]))
  }

  /** Compilers' share of all CPU since the last look; undefined where no process has any, or nobody can tell. */
  share(): number | undefined {
    let [compiling, all, isKnown] = [0, 0, false]
    for (const [pid, before] of this.#last) {
      const now = read(pid)
      this.#last.set(pid, now)
      if (before === undefined || now === undefined || now.compiling.size === 0) continue
      isKnown = true
      all += now.all - before.all
      // A JVM begins and ends such threads as it needs them.
      for (const [thread, seconds] of now.compiling) compiling += seconds - (before.compiling.get(thread) ?? 0)
    }
    return isKnown && all > 0 ? compiling / all : undefined
  }
}
