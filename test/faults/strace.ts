/**
 * Runs a workload (workload.mjs) as a process of its own, under strace where a system call is to be counted, failed,
 * delayed or turned into a kill. All file operations then run on one pool thread, in an order that repeats, so that
 * "the k-th call" is the same one in every run.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { WorkloadEvent } from './history.ts'

const workload = fileURLToPath(new URL('./workload.mjs', import.meta.url))
const built = fileURLToPath(new URL('../../dist/src/log/index.js', import.meta.url))

/** What changes a file system, and is counted. */
export const CHANGES = ['pwrite64', 'pwritev', 'fdatasync', 'fsync', 'ftruncate', 'rename', 'unlink', 'rmdir', 'mkdir']

export interface RunOptions {
  readonly directory: string
  readonly script: string
  /** The disk is broken on purpose, see broken-disks.mjs. */
  readonly fault?: string
  /** As strace has it: `fsync:signal=KILL:when=3`. */
  readonly inject?: string
  /** Only calls on this path are seen, and changed. */
  readonly onlyOn?: readonly string[]
  /** Where the calls are written. */
  readonly traceFile?: string
  /** Which calls; CHANGES when left out. */
  readonly trace?: readonly string[]
  readonly poolThreads?: number
  readonly onEvent?: (event: WorkloadEvent, kill: () => void) => void
}

export interface Run {
  readonly events: readonly WorkloadEvent[]
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly errors: string
}

export async function runWorkload(options: RunOptions): Promise<Run> {
  if (!existsSync(built)) throw new Error('the package is not built: npm run build')
  const { directory, script, fault, inject, traceFile, trace = CHANGES } = options
  const node = [process.execPath, workload, directory, script, ...(fault === undefined ? [] : [fault])]
  const strace = [
    'strace',
    '-f',
    '-qq',
    '-y',
    '-s',
    '200',
    '-e',
    `trace=${trace.join(',')}`,
    '-o',
    traceFile ?? '/dev/null',
  ]
  if (inject !== undefined) strace.push('-e', `inject=${inject}`)
  // Faster, since other calls do not stop; but with it strace sends no signals.
  if (inject?.includes('signal=') !== true) strace.push('--seccomp-bpf')
  for (const path of options.onlyOn ?? []) strace.push('-P', path)
  const [command, ...args] = inject === undefined && traceFile === undefined ? node : [...strace, ...node]
  return await run(command!, args, options)
}

function run(command: string, args: readonly string[], options: RunOptions): Promise<Run> {
  const env = { ...process.env, UV_THREADPOOL_SIZE: `${options.poolThreads ?? 1}` }
  // A group of its own: strace and what it traces end together.
  const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  process.once('exit', kill)
  const events: WorkloadEvent[] = []
  let rest = ''
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      const event = JSON.parse(line) as WorkloadEvent
      events.push(event)
      options.onEvent?.(event, kill)
    }
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      process.off('exit', kill)
      resolve({ events, code, signal, errors })
    })
  })
}

/** One call of a trace, whole. */
export interface Call {
  readonly name: string
  /** Everything between the parentheses. */
  readonly args: string
  /** The path of the first descriptor, or the first path. */
  readonly path: string
  readonly result: string
  readonly isInjected: boolean
}

/** The calls of a trace file in the order in which they ended. */
export function callsIn(traceFile: string): Call[] {
  const begun = new Map<string, string>()
  const calls: Call[] = []
  for (const line of readFileSync(traceFile, 'utf8').split('\n')) {
    const [, thread, text] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (thread === undefined || text === undefined) continue
    const cut = / <unfinished \.\.\.>$/.exec(text)
    if (cut !== null) {
      begun.set(thread, text.slice(0, cut.index))
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(text)
    const whole = resumed === null ? text : `${begun.get(thread) ?? ''}${text.slice(resumed[0].length)}`
    const parts = /^(\w+)\((.*)\) += (.*)$/.exec(whole)
    if (parts === null) continue
    const [, name, args, result] = parts as unknown as [string, string, string, string]
    const path = /^\d+<([^>]*)>/.exec(args)?.[1] ?? /"([^"]*)"/.exec(args)?.[1] ?? ''
    calls.push({ name, args, path, result, isInjected: result.includes('INJECTED') })
  }
  return calls
}
