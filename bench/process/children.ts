/**
 * Processes that a run starts: each in a process group of its own, so that Ctrl-C on a terminal reaches the harness
 * alone, which then ends them in order. Every one is ended by its id: on `end`, by `endAll`, and at the latest when the
 * harness itself exits.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'

export interface ChildOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Written to its standard input, which then ends; without it there is none. */
  readonly input?: string | Uint8Array
  /** An IPC channel for `process.send`; node processes only. */
  readonly ipc?: boolean
  /** For a program that does not notice that we are gone: ended also when this process is killed. */
  readonly guarded?: boolean
  /** Standard output and error also go here. */
  readonly logFile?: string
  readonly onLine?: (line: string) => void
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** How much of a child's output is kept for error messages. */
const TAIL_CHARACTERS = 4000

const living = new Set<Child>()

export class Child {
  readonly process: ChildProcess
  readonly exited: Promise<Exit>
  readonly #name: string
  #tail = ''
  #partial = ''
  #exit: Exit | undefined

  constructor(name: string, options: ChildOptions) {
    this.#name = name
    const spawnOptions: SpawnOptions = {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      detached: true,
      stdio: [
        options.input === undefined ? 'ignore' : 'pipe',
        'pipe',
        'pipe',
        ...(options.ipc === true ? (['ipc'] as const) : []),
      ],
    }
    this.process = spawn(options.command, options.args, spawnOptions)
    living.add(this)
    if (options.guarded === true && this.process.pid !== undefined) guardAgainstOurDeath(this.process.pid)
    // One that ends before it has read everything says so by its exit.
    this.process.stdin?.on('error', () => {})
    this.process.stdin?.end(options.input)
    const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: 'a' })
    // A disk that is full ends the log, not us: what the child says last is kept in memory all the same.
    log?.on('error', () => {})
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (text: string) => {
        log?.write(text)
        this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS)
        if (options.onLine !== undefined && stream === this.process.stdout) this.#lines(text, options.onLine)
      })
    }
    this.exited = new Promise((resolve) => {
      const finish = (exit: Exit) => {
        if (this.#partial !== '') this.#lines('\n', options.onLine ?? (() => {}))
        this.#exit = exit
        living.delete(this)
        log?.end()
        resolve(exit)
      }
      this.process.once('error', (error) => {
        this.#tail += String(error)
        finish({ code: 127, signal: null })
      })
      // close, not exit: its last lines have been read by then.
      this.process.once('close', (code, signal) => finish({ code, signal }))
    })
  }

  get pid(): number {
    return this.process.pid ?? -1
  }

  get exit(): Exit | undefined {
    return this.#exit
  }

  /** The end of what it printed, for error messages. */
  get tail(): string {
    return this.#tail.trim()
  }

  /** Rejects with its last words when it ends before it is told to. */
  async failure(): Promise<never> {
    const { code, signal } = await this.exited
    throw new Error(
      `${this.#name} ended (${signal ?? `exit code ${code}`})${this.tail === '' ? '' : `:\n${this.tail}`}`,
    )
  }

  /** SIGTERM, then SIGKILL when it is not gone after `graceMs`. Resolves when it is gone. */
  async end(graceMs = 10_000): Promise<Exit> {
    if (this.#exit !== undefined) return this.#exit
    this.#signal('SIGTERM')
    const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs)
    try {
      return await this.exited
    } finally {
      clearTimeout(timer)
    }
  }

  killNow(): void {
    if (this.#exit === undefined) this.#signal('SIGKILL')
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.process.pid !== undefined) this.process.kill(signal)
  }

  #lines(text: string, onLine: (line: string) => void): void {
    const lines = (this.#partial + text).split('\n')
    this.#partial = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
}

/** A shell that looks once a second whether we live, and is gone when the child is. */
function guardAgainstOurDeath(pid: number): void {
  const script = 'while kill -0 $1; do kill -0 $2 || { kill -9 $1; exit; }; sleep 1; done 2>/dev/null'
  const options = { detached: true, stdio: 'ignore' } as const
  spawn('sh', ['-c', script, 'sh', String(pid), String(process.pid)], options)
    .on('error', () => {})
    .unref()
}

/** Ends all that live, each by its id. */
export async function endAllChildren(graceMs = 5_000): Promise<void> {
  await Promise.all([...living].map((child) => child.end(graceMs)))
}

/** Runs a command to its end; its standard output. Rejects with its last words when it fails or the signal fires. */
export async function runToEnd(name: string, options: ChildOptions, signal?: AbortSignal): Promise<string> {
  const lines: string[] = []
  const child = new Child(name, { ...options, onLine: (line) => lines.push(line) })
  const stop = () => void child.end(2_000)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const { code } = await child.exited
    signal?.throwIfAborted()
    if (code !== 0) await child.failure()
    return lines.join('\n')
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

process.once('exit', () => {
  for (const child of living) child.killNow()
})
