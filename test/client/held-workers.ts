/** Workers whose jobs end when and how the test says; the work is done on this thread. */
import { inThreadWorkers, type Job, type JobOptions, nodeEnv, type Workers } from '../../src/env/index.ts'

interface HeldJob {
  readonly name: string
  readonly input: { readonly maxBytes?: number }
  /** Lets it end: well, or with this error. */
  end(error?: Error): void
}

export class HeldWorkers implements Workers {
  /** In the order in which they were asked for; ended ones are taken out by the test. */
  readonly jobs: HeldJob[] = []
  /** All that were ever asked for. */
  asked = 0
  /** Every job ends at once. */
  open = false
  /** The next `run`s fail at once with these. */
  readonly refusals: Error[] = []
  readonly #inner = inThreadWorkers(nodeEnv())

  async run<I, O>(job: Job, input: I, options?: JobOptions): Promise<O> {
    const refusal = this.refusals.shift()
    if (refusal !== undefined) throw refusal
    this.asked++
    const done = this.#inner.run<I, O>(job, input, options)
    if (this.open) return await done
    done.catch(() => {})
    await new Promise<void>((resolve, reject) => {
      const end = (error?: Error): void => (error === undefined ? resolve() : reject(error))
      this.jobs.push({ name: job.name, input: input as HeldJob['input'], end })
    })
    return await done
  }

  /** Lets all jobs end, and those to come. */
  release(): void {
    this.open = true
    for (const { end } of this.jobs.splice(0)) end()
  }

  close(): Promise<void> {
    this.release()
    return this.#inner.close()
  }
}
