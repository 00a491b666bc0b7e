/**
 * Processes that outlive the one that started them. Which one is meant, and on which boot of the machine: a pid alone may be somebody else's by now, so it goes
 * together with the start of the process in clock ticks since boot.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { errnoOf } from './storage-error.ts'

export interface ProcessMark {
  readonly pid: number
  /** 0 where the platform does not tell. */
  readonly startTicks: number
}

export async function processMark(pid: number): Promise<ProcessMark> {
  return { pid, startTicks: (await startTicks(pid)) ?? 0 }
}

/** Whether that very process still runs. Without /proc its start is unknown and the pid alone decides. */
export async function isProcessAlive({ pid, startTicks: start }: ProcessMark): Promise<boolean> {
  if (process.platform === 'linux') return (await startTicks(pid)) === start
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

export interface StartedProcess {
  readonly mark: ProcessMark
  /** How it ended, in words; never settles when this process ends first. */
  readonly ended: Promise<string>
}

/**
 * Starts a program in a session of its own, so that neither a signal to our terminal nor our end reaches it. What it
 * writes is appended to `logFile`. Rejects with what the system says.
 */
export async function startDetached(command: readonly string[], logFile: string): Promise<StartedProcess> {
  const log = await open(logFile, 'a')
  try {
    const [program, ...args] = command as [string, ...string[]]
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log.fd, log.fd] })
    const ended = new Promise<string>((resolve) => {
      child.once('exit', (status, signal) => resolve(signal === null ? `status ${status}` : `signal ${signal}`))
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    child.unref()
    return { mark: await processMark(child.pid!), ended }
  } finally {
    await log.close()
  }
}

/** False when there is no such process any more. */
export async function signalProcess(mark: ProcessMark, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  if (!(await isProcessAlive(mark))) return false
  try {
    return process.kill(mark.pid, signal)
  } catch {
    return false
  }
}

/** Another text after each boot of the machine: the page cache is gone then. Empty where the platform does not tell. */
export function machineBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

/**
 * Field 22 of /proc/<pid>/stat; fields are counted from behind the name, which may hold anything. A process that has
 * ended and that nobody has waited for yet (Z, X) counts as gone.
 */
async function startTicks(pid: number): Promise<number | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return /^[ZX]/.test(fields[0]!) ? undefined : Number(fields[19])
  } catch {
    return undefined
  }
}
