/** System calls of a process that runs already, failed or delayed by strace; it lets the process go at the end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from '../../../bench/process/children.ts'
import { type Call, callsIn } from '../strace.ts'

const ATTACH_MS_MAX = 30_000
const LOOK_MS = 20

export class Injection implements AsyncDisposable {
  readonly #child: Child
  readonly #scratch: string
  readonly #trace: string

  private constructor(child: Child, scratch: string, trace: string) {
    this.#child = child
    this.#scratch = scratch
    this.#trace = trace
  }

  /** `inject` as strace has it: `fdatasync:error=EIO:when=2`. `calls` are those that are seen. */
  static async into(pid: number, calls: readonly string[], inject: string): Promise<Injection> {
    const scratch = mkdtempSync(join(tmpdir(), 'pagelog-strace-'))
    const trace = join(scratch, 'trace')
    const what = ['-e', `trace=${calls.join(',')}`, '-e', `inject=${inject}`]
    const args = ['-f', '-y', '-s', '200', '-o', trace, ...what, '-p', String(pid)]
    const child = new Child('strace', { command: 'strace', args, guarded: true })
    const injection = new Injection(child, scratch, trace)
    const end = performance.now() + ATTACH_MS_MAX
    while (!child.tail.includes('attached')) {
      if (child.exit !== undefined || performance.now() > end) {
        await injection[Symbol.asyncDispose]()
        throw new Error(`strace does not attach: ${child.tail}`)
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    return injection
  }

  /** So far. */
  calls(): Call[] {
    return callsIn(this.#trace)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.end()
    rmSync(this.#scratch, { recursive: true, force: true })
  }
}
