/**
 * One watch at an etcd, over as many connections as it takes: each goes on at the revision behind the last one told. It
 * ends only when that cannot be had any more, because it was compacted away or because the store's revisions went back.
 */
import { hasCode, type Logger } from '../base/index.ts'
import type { Clock, Timer } from '../env/index.ts'
import type { EtcdConnection } from './etcd-connection.ts'
import {
  decodeEvent,
  paths,
  prefixRange,
  type WireLine,
  type WireWatchRequest,
  type WireWatchResponse,
} from './etcd-wire.ts'
import type { MetadataEvent, WatchListener, WatchLoss } from './store.ts'

export interface EtcdWatchOptions {
  readonly connection: EtcdConnection
  readonly clock: Clock
  readonly logger: Logger
  readonly root: string
  readonly prefix: string
  readonly fromRevision: number
  readonly listener: WatchListener
  /** A stream that is silent for so long is opened anew: it may hang on a host that is gone. */
  readonly silenceMs: number
  /** The store's revision now, linearizable. */
  readonly currentRevision: () => Promise<number>
}

const BACKOFF_MS_MIN = 50
const BACKOFF_MS_MAX = 2000

export class EtcdWatch {
  readonly #options: EtcdWatchOptions
  #next: number
  #backoffMs = BACKOFF_MS_MIN
  #timer: Timer | undefined
  #stop: (() => void) | undefined
  #wasConnected = false
  #failed = false
  #ended = false

  constructor(options: EtcdWatchOptions) {
    this.#options = options
    this.#next = options.fromRevision
    void this.#connect()
  }

  end(): void {
    this.#ended = true
    this.#timer?.cancel()
    this.#stop?.()
  }

  async #connect(): Promise<void> {
    const { connection, prefix, root, currentRevision } = this.#options
    try {
      // A store that was put back to an older state would hold the watch until it has come as far again.
      const current = await currentRevision()
      if (this.#ended) return
      if (current < this.#next - 1) {
        this.#lost('went-back')
        return
      }
    } catch (error) {
      if (!this.#ended && !hasCode(error, 'PAGELOG_CLOSED')) this.#retry(String(error))
      return
    }
    const { key, range_end } = prefixRange(root + prefix)
    const request: WireWatchRequest = {
      create_request: { key, range_end, start_revision: String(this.#next), progress_notify: true },
    }
    let over = false
    const stop = await connection.stream(paths.watch, request, {
      line: (text) => {
        if (!over) this.#take(text)
      },
      ended: (reason) => {
        over = true
        this.#retry(reason)
      },
      doubted: () => {
        if (over) return
        over = true
        this.#connectAnew()
      },
    })
    this.#stop = () => {
      over = true
      stop()
    }
    if (this.#ended || over) this.#stop()
    else this.#expectMore()
  }

  #expectMore(): void {
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(this.#options.silenceMs, () => this.#connectAnew())
  }

  #connectAnew(): void {
    this.#timer?.cancel()
    this.#stop?.()
    void this.#connect()
  }

  #retry(reason: string): void {
    if (this.#ended) return
    this.#stop?.()
    this.#timer?.cancel()
    if (!this.#failed) {
      this.#options.logger.warn(
        { reason, revision: this.#next - 1 },
        'the metadata watch was cut; it goes on when it can',
      )
    }
    this.#failed = true
    this.#timer = this.#options.clock.after(this.#backoffMs, () => void this.#connect())
    this.#backoffMs = Math.min(2 * this.#backoffMs, BACKOFF_MS_MAX)
  }

  #take(text: string): void {
    if (this.#ended) return
    let line: WireLine<WireWatchResponse>
    try {
      line = JSON.parse(text) as WireLine<WireWatchResponse>
    } catch {
      this.#retry('a line that is not JSON')
      return
    }
    const { result, error } = line
    if (!result) {
      this.#retry(error?.message ?? 'a line without a result')
      return
    }
    this.#expectMore()
    if (result.canceled) {
      if (Number(result.compact_revision ?? 0) > 0) this.#lost('compacted')
      else this.#retry(result.cancel_reason ?? 'canceled')
      return
    }
    if (result.created) this.#created()
    else this.#told(result)
  }

  #created(): void {
    this.#backoffMs = BACKOFF_MS_MIN
    const resumed = this.#wasConnected && this.#failed
    this.#wasConnected = true
    this.#failed = false
    if (resumed) this.#options.listener.resumed?.()
  }

  /** A response has whole revisions, one or more. */
  #told({ header, events = [] }: WireWatchResponse): void {
    const { listener, root } = this.#options
    let of: MetadataEvent[] = []
    for (const wire of events) {
      const event = decodeEvent(wire, root)
      if (event.revision < this.#next) continue
      if (of.length > 0 && of[0]!.revision !== event.revision) {
        this.#tell(of)
        if (this.#ended) return
        of = []
      }
      of.push(event)
    }
    if (of.length > 0) this.#tell(of)
    if (events.length > 0 || this.#ended) return
    const revision = Number(header?.revision ?? 0)
    if (revision < this.#next) return
    this.#next = revision + 1
    listener.progressed?.(revision)
  }

  #tell(events: readonly MetadataEvent[]): void {
    const { revision } = events[0]!
    this.#next = revision + 1
    this.#options.listener.changed(events, revision)
  }

  #lost(reason: WatchLoss): void {
    this.end()
    this.#options.listener.lost(reason)
  }
}
