/** A watch of another process: lines of JSON on an answer that does not end by itself. */
import type { ServerResponse } from 'node:http'
import type { Clock, Timer } from '../env/index.ts'
import type { EmbeddedMetadata } from './embedded.ts'
import { encodeEvent, type WireLine, type WireWatchResponse } from './etcd-wire.ts'
import { headerOf } from './server-calls.ts'
import type { Unwatch, WatchLoss } from './store.ts'

export interface ServedWatchOptions {
  readonly store: EmbeddedMetadata
  readonly clock: Clock
  readonly prefix: string
  readonly fromRevision: number
  readonly progressMs: number
  readonly response: ServerResponse
}

/** A reader that is so far behind is cut off; it takes its watch up again where it is. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024

export class ServedWatch {
  readonly #response: ServerResponse
  readonly #unwatch: Unwatch
  readonly #progress: Timer
  #told: number
  #idle = false

  constructor({ store, clock, prefix, fromRevision, progressMs, response }: ServedWatchOptions) {
    this.#response = response
    this.#told = fromRevision - 1
    this.#write({ header: headerOf(store.revision), created: true })
    this.#unwatch = store.watch(prefix, fromRevision, {
      changed: (events, revision) => {
        this.#told = revision
        this.#idle = false
        this.#write({ header: headerOf(revision), events: events.map(encodeEvent) })
      },
      progressed: (revision) => {
        this.#told = revision
      },
      lost: (reason) => this.#lost(reason, store.revision),
    })
    this.#progress = clock.every(progressMs, () => {
      if (this.#idle) this.#write({ header: headerOf(this.#told) })
      this.#idle = true
    })
  }

  end(): void {
    this.#unwatch()
    this.#progress.cancel()
  }

  #lost(reason: WatchLoss, revision: number): void {
    const header = headerOf(revision)
    if (reason === 'compacted') this.#write({ header, canceled: true, compact_revision: String(revision) })
    else this.#write({ header, canceled: true, cancel_reason: reason })
    this.#response.end()
  }

  #write(result: WireWatchResponse): void {
    if (this.#response.writableLength > UNSENT_BYTES_MAX) this.#response.destroy()
    else this.#response.write(`${JSON.stringify({ result } satisfies WireLine<WireWatchResponse>)}\n`)
  }
}
