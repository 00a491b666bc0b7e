/** Runs asynchronous work one at a time, in the order of the calls; a failure is the caller's, the next one still runs. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()
  #users = 0

  /** Nobody runs or waits: work that is handed in now is the next. */
  get isFree(): boolean {
    return this.#users === 0
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#users++
    const running = this.#last.then(work).finally(() => {
      this.#users--
    })
    this.#last = running.catch(() => {})
    return running
  }
}
