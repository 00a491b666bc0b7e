/**
 * The directory that a run keeps its data in: removed at the end. Its name carries the harness's process id, and it
 * lists the brokers that were started, so that the next run can clear what a killed harness left behind.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { sweepNamespaces } from '../netns/namespaces.ts'
import { startTimeOf } from './start-time.ts'

const PREFIX = 'pagelog-bench-'
const CHILDREN = 'children'

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
  let path = join(parent, `${PREFIX}${process.pid}-0`)
  for (let n = 1; existsSync(path); n++) path = join(parent, `${PREFIX}${process.pid}-${n}`)
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
    // A process that was ended may still close a file in it.
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }),
  }
}

/** Ends the processes and removes the directories of harnesses that are gone. A number in use again is left alone. */
export function sweepLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const owner = new RegExp(`^${PREFIX}(\\d+)-\\d+$`).exec(name)?.[1]
    if (owner === undefined || startTimeOf(Number(owner)) !== undefined) continue
    const directory = join(parent, name)
    const list = join(directory, CHILDREN)
    for (const line of existsSync(list) ? readFileSync(list, 'utf8').split('\n') : []) {
      const [pid, startTime] = line.split(' ')
      if (pid === undefined || !startTime || startTimeOf(Number(pid)) !== startTime) continue
      process.kill(Number(pid), 'SIGKILL')
    }
    rmSync(directory, { recursive: true, force: true })
  }
}
