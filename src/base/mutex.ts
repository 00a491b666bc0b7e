/** Runs asynchronous work one at a time, in the order of the calls; a failure is the caller's, the next one still runs. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const running = this.#last.then(work)
    this.#last = running.catch(() => {})
    return running
  }
}
