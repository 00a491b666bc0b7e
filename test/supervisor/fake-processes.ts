/** Processes that a test starts, ends and looks at. */
import type { ProcessMark, StartedProcess } from '../../src/env/index.ts'
import type { Processes } from '../../src/supervisor/index.ts'

/** The process of the tests themselves. */
export const SUPERVISOR: ProcessMark = { pid: 1, startTicks: 7 }

export interface FakeProcess {
  readonly mark: ProcessMark
  readonly command: readonly string[]
  readonly signals: string[]
  end(how: string): void
}

export class FakeProcesses implements Processes {
  readonly started: FakeProcess[] = []
  /** Called with each process before `start` returns. */
  onStart: (process: FakeProcess) => void = () => {}
  onSignal: (process: FakeProcess, signal: string) => void = (process, signal) => process.end(`signal ${signal}`)
  refusal: Error | undefined
  readonly #alive = new Map<number, FakeProcess>()
  #nextPid: number

  constructor(firstPid = 100) {
    this.#nextPid = firstPid
  }

  get alive(): FakeProcess[] {
    return [...this.#alive.values()]
  }

  start(command: readonly string[]): Promise<StartedProcess> {
    if (this.refusal) return Promise.reject(this.refusal)
    const mark = { pid: this.#nextPid++, startTicks: 7 }
    let ended: (how: string) => void = () => {}
    const promise = new Promise<string>((resolve) => {
      ended = resolve
    })
    const process: FakeProcess = {
      mark,
      command,
      signals: [],
      end: (how) => {
        this.#alive.delete(mark.pid)
        ended(how)
      },
    }
    this.#alive.set(mark.pid, process)
    this.started.push(process)
    this.onStart(process)
    return Promise.resolve({ mark, ended: promise })
  }

  isAlive({ pid, startTicks }: ProcessMark): Promise<boolean> {
    return Promise.resolve(startTicks === 7 && (pid === SUPERVISOR.pid || this.#alive.has(pid)))
  }

  signal(mark: ProcessMark, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
    const process = this.#alive.get(mark.pid)
    process?.signals.push(signal)
    if (process) this.onSignal(process, signal)
    return Promise.resolve(process !== undefined)
  }
}
