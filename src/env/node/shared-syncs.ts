/**
 * Syncs of the same path, one at a time: whoever asks while one runs shares the next one. Side by side, one that is told
 * that all is well could hide that the other lost something. Whoever waits while one fails is told the same.
 */
interface Syncs {
  /** Whoever shares the next one; undefined when nobody has asked for it. */
  next: { promise: Promise<void>; resolve: () => void; reject: (error: unknown) => void } | undefined
}

export class SharedSyncs {
  readonly #sync: (path: string) => Promise<void>
  /** Of the paths on which one runs. */
  readonly #running = new Map<string, Syncs>()

  constructor(sync: (path: string) => Promise<void>) {
    this.#sync = sync
  }

  /** Resolves when a sync that began after this call has ended. */
  ask(path: string): Promise<void> {
    const running = this.#running.get(path)
    if (running === undefined) return this.#start(path)
    running.next ??= withResolvers()
    return running.next.promise
  }

  async #start(path: string): Promise<void> {
    const syncs: Syncs = { next: undefined }
    this.#running.set(path, syncs)
    try {
      await this.#sync(path)
    } catch (error) {
      this.#running.delete(path)
      syncs.next?.reject(error)
      throw error
    }
    this.#running.delete(path)
    const { next } = syncs
    if (next !== undefined) this.#start(path).then(next.resolve, next.reject)
  }
}

function withResolvers(): NonNullable<Syncs['next']> {
  let resolve!: () => void
  let reject!: (error: unknown) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
