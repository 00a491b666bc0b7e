/**
 * Brokers confined to so much memory, the page cache that they fill included: each in a control group of its own. With version 1 it is
 * below the harness's own group, so that whatever holds for the harness holds for them, too; with version 2, where a group
 * has processes or groups below it but not both, below the nearest one above that gives its groups a memory controller.
 * The names carry the harness's id and start time: a later run can tell that it is gone, and removes what it left.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTimeOf } from './start-time.ts'

const PREFIX = 'pagelog-bench-'
/** Of a group whose processes are gone the kernel may still have to let go. */
const REMOVE_TRIES = 20
const REMOVE_PAUSE_MS = 50

export interface ParentGroup {
  readonly path: string
  /** The file of a group below it that says how much memory it may have. */
  readonly limitFile: 'memory.limit_in_bytes' | 'memory.max'
}

/** Where groups of brokers belong; undefined where there is no such place. */
export function parentGroup(
  membership = textOf('/proc/self/cgroup'),
  mounted = '/sys/fs/cgroup',
): ParentGroup | undefined {
  const first = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(membership)?.[1]
  if (first !== undefined) {
    const path = join(mounted, 'memory', first)
    return existsSync(join(path, 'memory.limit_in_bytes')) ? { path, limitFile: 'memory.limit_in_bytes' } : undefined
  }
  const second = /^0::(.*)$/m.exec(membership)?.[1]
  if (second === undefined) return undefined
  for (let inside = join('/', second); ; inside = dirname(inside)) {
    const path = join(mounted, inside)
    if (/\bmemory\b/.test(textOf(join(path, 'cgroup.subtree_control')))) return { path, limitFile: 'memory.max' }
    if (inside === '/') return undefined
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

export class MemoryGroups {
  readonly #parent: ParentGroup
  readonly #bytes: number
  readonly #made: string[] = []

  /** Throws where processes cannot be confined. */
  constructor(bytes: number, parent = parentGroup()) {
    if (parent === undefined) throw new Error('--memory needs Linux with the memory controller of cgroups')
    this.#parent = parent
    this.#bytes = bytes
    sweepMemoryGroups(parent)
  }

  /** Puts a process, with all that it will have in memory, into a group of its own. */
  confine(pid: number): void {
    const name = `${PREFIX}${process.pid}-${startTimeOf(process.pid) ?? 0}-${this.#made.length}`
    const group = join(this.#parent.path, name)
    try {
      mkdirSync(group)
      this.#made.push(group)
      writeFileSync(join(group, this.#parent.limitFile), String(this.#bytes))
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
export function sweepMemoryGroups(parent = parentGroup()): void {
  if (parent === undefined) return
  for (const name of readdirSync(parent.path)) {
    const [, pid, start] = /^pagelog-bench-(\d+)-(\d+)-\d+$/.exec(name) ?? []
    if (pid !== undefined && startTimeOf(Number(pid)) !== start) removed(join(parent.path, name))
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
