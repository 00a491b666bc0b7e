/**
 * One broker of the cluster as a process: started, or found alive and adopted; started again when it dies, later each
 * time it dies young; stopped by SIGTERM, and by SIGKILL when that does not help. There is never more than one process:
 * the next is started when the one before is known to be gone.
 */
import type { Clock, ProcessMark, StartedProcess, Timer } from '../env/index.ts'

/** How the outside is done; tests have their own. */
export interface Processes {
  start(command: readonly string[], logFile: string): Promise<StartedProcess>
  isAlive(mark: ProcessMark): Promise<boolean>
  signal(mark: ProcessMark, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean>
}

export interface BrokerChildOptions {
  readonly clock: Clock
  readonly processes: Processes
  /** Asked anew for each start. */
  readonly command: () => readonly string[]
  readonly logFile: string
  /** Called before anything else is done with the new process, which stands whatever comes of it. */
  readonly started: (mark: ProcessMark) => void
  /** The process is gone; `retryMs` is when the next is started, undefined when none will be. */
  readonly died: (mark: ProcessMark, how: string, retryMs: number | undefined) => void
  readonly failed: (error: unknown) => void
}

/** How often a process that is not our child is looked after. */
const LOOK_MS = 200
const RETRY_MS_MIN = 200
const RETRY_MS_MAX = 30_000
/** A process that lived for so long did not die of how it was started. */
const YOUNG_MS = 60_000
/** For SIGTERM: a controlled shutdown, and syncing its logs. */
const STOP_MS = 60_000

export class BrokerChild {
  readonly #options: BrokerChildOptions
  #mark: ProcessMark | undefined
  /** Resolves when the process of now is gone. */
  #gone: Promise<void> = Promise.resolve()
  #startedMs = 0
  #youngDeaths = 0
  #retry: Timer | undefined
  /** Settles when the process that is being started is known, or will not be. */
  #starting: Promise<unknown> = Promise.resolve()
  #stopping = false

  constructor(options: BrokerChildOptions) {
    this.#options = options
  }

  get mark(): ProcessMark | undefined {
    return this.#mark
  }

  /** Rejects with what the system says when there is no such program. */
  async start(): Promise<void> {
    const { processes, command, logFile, started, clock } = this.#options
    if (this.#stopping) return
    const starting = processes.start(command(), logFile)
    this.#starting = starting.catch(() => {})
    const { mark, ended } = await starting
    this.#mark = mark
    this.#startedMs = clock.monotonicMs()
    this.#gone = ended.then((how) => this.#died(mark, how))
    started(mark)
  }

  /** Takes a process over that another supervisor had started. */
  adopt(mark: ProcessMark): void {
    this.#mark = mark
    this.#startedMs = this.#options.clock.monotonicMs()
    this.#gone = this.#look(mark).then(() => this.#died(mark, 'its end was not seen'))
  }

  /** Ends the process, orderly if it can; false when it had to be killed. Nothing is started any more. */
  async stop(): Promise<boolean> {
    this.#stopping = true
    this.#retry?.cancel()
    const { processes, clock } = this.#options
    await this.#starting
    const mark = this.#mark
    if (mark === undefined) return true
    await processes.signal(mark, 'SIGTERM')
    let late = false
    const timer = clock.after(STOP_MS, () => {
      late = true
      void processes.signal(mark, 'SIGKILL')
    })
    await this.#gone
    timer.cancel()
    return !late
  }

  /** Lets the process be. */
  release(): void {
    this.#stopping = true
    this.#retry?.cancel()
    this.#mark = undefined
  }

  async #look(mark: ProcessMark): Promise<void> {
    const { processes, clock } = this.#options
    while (this.#mark === mark && (await processes.isAlive(mark))) {
      await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
    }
  }

  #died(mark: ProcessMark, how: string): void {
    if (this.#mark !== mark) return
    this.#mark = undefined
    const { clock, died } = this.#options
    const isYoung = clock.monotonicMs() - this.#startedMs < YOUNG_MS
    this.#youngDeaths = isYoung ? this.#youngDeaths + 1 : 1
    const retryMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (this.#youngDeaths - 1))
    died(mark, how, this.#stopping ? undefined : retryMs)
    if (!this.#stopping) this.#retry = clock.after(retryMs, () => void this.#startAgain())
  }

  async #startAgain(): Promise<void> {
    if (this.#stopping) return
    try {
      await this.start()
    } catch (error) {
      this.#options.failed(error)
      if (!this.#stopping) this.#retry = this.#options.clock.after(RETRY_MS_MAX, () => void this.#startAgain())
    }
  }
}
