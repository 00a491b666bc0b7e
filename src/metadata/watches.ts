/**
 * The embedded engine's watches and the events they may begin with: the last revisions, bounded in number and in bytes.
 * A watch is told of a commit in the same turn, so whoever awaits a transaction finds what follows from it already done.
 */
import type { MetadataEvent, Unwatch, WatchListener } from './store.ts'

interface Revision {
  readonly revision: number
  readonly events: readonly MetadataEvent[]
  readonly bytes: number
}

interface Watch {
  readonly prefix: string
  readonly listener: WatchListener
  /** The next revision to tell. */
  next: number
  /** False until it has been told the past. */
  live: boolean
}

export class Watches {
  readonly #revisionsMax: number
  readonly #bytesMax: number
  readonly #watches = new Set<Watch>()
  /** Contiguous, the oldest first; the first `#dropped` of them are forgotten. */
  #history: Revision[] = []
  #dropped = 0
  #bytes = 0
  #revision = 0

  constructor(revisionsMax: number, bytesMax: number) {
    this.#revisionsMax = revisionsMax
    this.#bytesMax = bytesMax
  }

  /** The oldest revision that a watch can begin with. */
  get oldest(): number {
    return this.#revision - (this.#history.length - this.#dropped) + 1
  }

  /** Forgets the past: the state is that of `revision`, and how it came about is not known. */
  reset(revision: number): void {
    this.#history = []
    this.#dropped = 0
    this.#bytes = 0
    this.#revision = revision
  }

  add(prefix: string, fromRevision: number, listener: WatchListener): Unwatch {
    const watch: Watch = { prefix, listener, next: fromRevision, live: false }
    this.#watches.add(watch)
    // Not in this turn: nobody is called back before he has the function that ends the watch.
    void Promise.resolve().then(() => this.#catchUp(watch))
    return () => this.#watches.delete(watch)
  }

  commit(events: readonly MetadataEvent[], revision: number): void {
    this.#remember(events, revision)
    for (const watch of [...this.#watches]) if (watch.live) this.#tell(watch, events, revision)
  }

  close(): void {
    this.#watches.clear()
  }

  #catchUp(watch: Watch): void {
    if (!this.#watches.has(watch)) return
    watch.live = true
    if (watch.next < this.oldest) {
      this.#watches.delete(watch)
      watch.listener.lost('compacted')
      return
    }
    if (watch.next > this.#revision + 1) {
      this.#watches.delete(watch)
      watch.listener.lost('went-back')
      return
    }
    const from = watch.next
    for (const { revision, events } of this.#history.slice(this.#dropped)) {
      if (revision >= from) this.#tell(watch, events, revision)
    }
  }

  #tell(watch: Watch, events: readonly MetadataEvent[], revision: number): void {
    if (revision < watch.next || !this.#watches.has(watch)) return
    watch.next = revision + 1
    const wanted = watch.prefix === '' ? events : events.filter((event) => event.key.startsWith(watch.prefix))
    if (wanted.length > 0) watch.listener.changed(wanted, revision)
    else watch.listener.progressed?.(revision)
  }

  #remember(events: readonly MetadataEvent[], revision: number): void {
    let bytes = 0
    for (const { key, value } of events) bytes += key.length + value.length
    this.#history.push({ revision, events, bytes })
    this.#revision = revision
    this.#bytes += bytes
    while (this.#history.length - this.#dropped > this.#revisionsMax || this.#bytes > this.#bytesMax) {
      this.#bytes -= this.#history[this.#dropped++]!.bytes
    }
    // Cut now and then: cutting at every commit would copy the whole list each time.
    if (this.#dropped >= 16 && 2 * this.#dropped > this.#history.length) {
      this.#history = this.#history.slice(this.#dropped)
      this.#dropped = 0
    }
  }
}
