/**
 * Brokers confined to so much memory, the page cache that they fill included: each in a control group of its own (version 1,
 * memory) below the harness's own group, so that whatever holds for the harness holds for them, too. The names carry the
 * harness's id and start time: a later run can tell that it is gone, and removes what it left.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTimeOf } from './start-time.ts'

const PREFIX = 'pagelog-bench-'
/** Of a group whose processes are gone the kernel may still have to let go. */
const REMOVE_TRIES = 20
const REMOVE_PAUSE_MS = 50

/** The memory group that this process is in; undefined where there is none that could have others below it. */
export function ownMemoryGroup(
  membership = textOf('/proc/self/cgroup'),
  mounted = '/sys/fs/cgroup/memory',
): string | undefined {
  const path = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(membership)?.[1]
  if (path === undefined) return undefined
  const group = join(mounted, path)
  return existsSync(join(group, 'memory.limit_in_bytes')) ? group : undefined
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

export class MemoryGroups {
  readonly #parent: string
  readonly #bytes: number
  readonly #made: string[] = []

  /** Throws where processes cannot be confined. */
  constructor(bytes: number, parent = ownMemoryGroup()) {
    if (parent === undefined) throw new Error('--memory needs Linux with the memory controller of cgroups version 1')
    this.#parent = parent
    this.#bytes = bytes
    sweepMemoryGroups(parent)
  }

  /** Puts a process, with all that it will have in memory, into a group of its own. */
  confine(pid: number): void {
    const name = `${PREFIX}${process.pid}-${startTimeOf(process.pid) ?? 0}-${this.#made.length}`
    const group = join(this.#parent, name)
    try {
      mkdirSync(group)
      this.#made.push(group)
      writeFileSync(join(group, 'memory.limit_in_bytes'), String(this.#bytes))
      writeFileSync(join(group, 'cgroup.procs'), String(pid))
    } catch (error) {
      throw new Error(`--memory: ${(error as Error).message} (only root may confine a process)`)
    }
  }

  /** After the processes have ended. */
  async remove(): Promise<void> {
    for (const group of this.#made.splice(0)) {
      for (let tries = 0; tries < REMOVE_TRIES && !removed(group); tries++) await sleep(REMOVE_PAUSE_MS)
    }
  }
}

/** Removes empty groups of harnesses that are gone. */
function sweepMemoryGroups(parent: string): void {
  for (const name of readdirSync(parent)) {
    const [, pid, start] = /^pagelog-bench-(\d+)-(\d+)-\d+$/.exec(name) ?? []
    if (pid !== undefined && startTimeOf(Number(pid)) !== start) removed(join(parent, name))
  }
}

/** A group's files are the kernel's: the directory goes with them, once no process is in it. */
function removed(group: string): boolean {
  try {
    rmdirSync(group)
    return true
  } catch {
    return !existsSync(group)
  }
}
