/**
 * A process that does nothing but measure its own event loop: what the machine itself does to every process. Beside a
 * broker's figures it tells how much of them is the machine's (a virtual one may stop for tens of milliseconds, and bills
 * that to whoever was running). Run as a program it prints what it saw as a line of JSON when it is ended.
 */
import { startLoopSampler } from '../../src/env/index.ts'
import { Child } from '../process/children.ts'
import { builtFile } from '../process/package-root.ts'
import type { LoopDelay } from '../result.ts'
import { toLoopDelay } from './loop-delay.ts'

export class IdleLoop {
  #seen: LoopDelay | null = null
  readonly #child: Child

  constructor() {
    this.#child = new Child('the idle process', {
      command: process.execPath,
      args: [builtFile('bench/measure/idle-loop.ts'), 'run'],
      onLine: (line) => {
        this.#seen = JSON.parse(line)
      },
    })
  }

  /** What it saw since it was started; null when it could not tell. */
  async stop(): Promise<LoopDelay | null> {
    await this.#child.end(2_000)
    return this.#seen
  }
}

if (process.argv[2] === 'run' && process.argv[1] === builtFile('bench/measure/idle-loop.ts')) {
  const sampler = startLoopSampler()
  const alive = setInterval(() => {}, 1_000_000)
  process.once('SIGTERM', () => {
    clearInterval(alive)
    process.stdout.write(`${JSON.stringify(toLoopDelay(sampler.snapshot()))}\n`)
    sampler.close()
  })
}
