/** The starter's end of a stub broker's process. */
import { once } from 'node:events'
import type { LoadTarget } from '../load/run.ts'
import { Child } from '../process/children.ts'
import { builtFile } from '../process/package-root.ts'
import type { StubSpec, ToStub } from './stub-main.ts'

export class StubProcess implements LoadTarget {
  readonly bootstrap: string
  readonly failure: Promise<never>
  readonly #child: Child

  static async start(spec: Partial<StubSpec> = {}): Promise<StubProcess> {
    const whole: StubSpec = { host: '127.0.0.1', partitions: 1, delayMs: 0, ...spec }
    let heard: (port: number) => void = () => {}
    const port = new Promise<number>((resolve) => {
      heard = resolve
    })
    const child = new Child('the stub broker', {
      command: process.execPath,
      args: [builtFile('bench/honesty/stub-main.ts'), JSON.stringify(whole)],
      ipc: true,
      onLine: (line) => heard((JSON.parse(line) as { port: number }).port),
    })
    const failure = child.failure()
    failure.catch(() => {})
    return new StubProcess(child, `${whole.host}:${await Promise.race([port, failure])}`, failure)
  }

  private constructor(child: Child, bootstrap: string, failure: Promise<never>) {
    this.#child = child
    this.bootstrap = bootstrap
    this.failure = failure
  }

  get pid(): number {
    return this.#child.pid
  }

  stop(milliseconds: number): void {
    const message: ToStub = { type: 'stop', milliseconds }
    this.#child.process.send(message)
  }

  /** Median of what it held since it was last asked, by its own clock; null when there was nothing. */
  async heldMs(): Promise<number | null> {
    const answer = once(this.#child.process, 'message')
    const message: ToStub = { type: 'held' }
    this.#child.process.send(message)
    const [said] = (await Promise.race([answer, this.failure])) as unknown[]
    return (said as { heldMs: number | null }).heldMs
  }

  async close(): Promise<void> {
    await this.#child.end(1_000)
  }
}
