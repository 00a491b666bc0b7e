/**
 * The directory that a run keeps its data in: removed at the end. Its name carries the harness's process id and start time (an id
 * alone is soon another's: in a container every run may have the same), and it lists the brokers that were started, so that
 * the next run can clear what a killed harness left behind.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sweepNamespaces } from '../netns/namespaces.ts'
import { sweepMemoryGroups } from './memory-groups.ts'
import { startTimeOf } from './start-time.ts'

const PREFIX = 'pagelog-bench-'
const CHILDREN = 'children'
const OWNED = new RegExp(`^${PREFIX}(\\d+)-(\\d+)-\\d+$`)
const SOCKET = new RegExp(`^${PREFIX}(\\d+)-\\d+\\.sock$`)

export interface Scratch {
  readonly path: string
  /** A new directory inside. */
  directory(name: string): string
  /** Remembers a process for the next run's sweep. */
  remember(pid: number): void
  remove(): void
}

export function makeScratch(parent: string): Scratch {
  mkdirSync(parent, { recursive: true })
  sweepLeftovers(parent)
  sweepNamespaces()
  sweepMemoryGroups()
  sweepSockets()
  const own = `${PREFIX}${process.pid}-${startTimeOf(process.pid) ?? 0}`
  let path = join(parent, `${own}-0`)
  for (let n = 1; existsSync(path); n++) path = join(parent, `${own}-${n}`)
  mkdirSync(path)
  let count = 0
  return {
    path,
    directory(name) {
      const made = join(path, `${name}-${count++}`)
      mkdirSync(made, { recursive: true })
      return made
    },
    remember(pid) {
      appendFileSync(join(path, CHILDREN), `${pid} ${startTimeOf(pid) ?? ''}\n`)
    },
    remove: () => removeDirectory(path),
  }
}

/** Ends the processes and removes the directories of harnesses that are gone. */
export function sweepLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const [, owner, start] = OWNED.exec(name) ?? []
    if (owner === undefined || isRunning(owner, start)) continue
    const directory = join(parent, name)
    const list = join(directory, CHILDREN)
    for (const line of existsSync(list) ? readFileSync(list, 'utf8').split('\n') : []) {
      const [pid, startTime] = line.split(' ')
      if (pid === undefined || !startTime || startTimeOf(Number(pid)) !== startTime) continue
      process.kill(Number(pid), 'SIGKILL')
    }
    removeDirectory(directory)
  }
}

/** A process that was ended may still make a file in it. */
function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

/** Where there is no /proc nobody's start time is known, and what is there is left alone. */
function isRunning(pid: string, start: string | undefined): boolean {
  const now = startTimeOf(Number(pid))
  return startTimeOf(process.pid) === undefined || (now !== undefined && (start === undefined || now === start))
}

/** Sockets of clusters whose directories have too long a path for one. */
function sweepSockets(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = SOCKET.exec(name)?.[1]
    if (owner !== undefined && !isRunning(owner, undefined)) rmSync(join(tmpdir(), name), { force: true })
  }
}
