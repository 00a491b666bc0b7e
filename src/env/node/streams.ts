/**
 * Node's object streams over a source or a sink of items. Back-pressure is real: nothing is taken from the source while
 * the reader is full, and one write at a time goes to the sink, of all that has gathered.
 */
import { Readable, Writable } from 'node:stream'

export interface ItemSource<T> {
  /** The next item, if it is at hand. */
  take(): T | undefined
  /** Waits until `take` may give more; false at the end. */
  more(): Promise<boolean>
  close(): Promise<unknown>
}

export interface ItemSink<T> {
  write(items: readonly T[]): Promise<void>
  /** Everything was written: make it last. */
  finish(): Promise<void>
}

export interface ItemStreamOptions {
  /** Items that the stream may hold. */
  readonly highWaterMark: number
}

export function nodeReadable<T>(source: ItemSource<T>, options: ItemStreamOptions): Readable {
  const pump = new Pump(source)
  return new Readable({
    objectMode: true,
    highWaterMark: options.highWaterMark,
    read() {
      pump.read(this)
    },
    destroy: (error, done) => {
      source.close().then(
        () => done(error),
        (failure: Error) => done(error ?? failure),
      )
    },
  })
}

/** Moves items until the stream is full. Node may ask again in the middle of that: it stays one move. */
class Pump<T> {
  readonly #source: ItemSource<T>
  #isMoving = false
  #isWanted = false

  constructor(source: ItemSource<T>) {
    this.#source = source
  }

  read(readable: Readable): void {
    this.#isWanted = true
    if (this.#isMoving) return
    this.#isMoving = true
    this.#move(readable).catch((error: Error) => readable.destroy(error))
  }

  async #move(readable: Readable): Promise<void> {
    while (this.#isWanted && !readable.destroyed) {
      const item = this.#source.take()
      if (item !== undefined) {
        this.#isWanted = false
        if (readable.push(item)) this.#isWanted = true
      } else if (!(await this.#source.more())) {
        readable.push(null)
        return
      }
    }
    this.#isMoving = false
  }
}

export function nodeWritable<T>(sink: ItemSink<T>, options: ItemStreamOptions): Writable {
  return new Writable({
    objectMode: true,
    highWaterMark: options.highWaterMark,
    write: (item: T, _encoding, done) => settle(sink.write([item]), done),
    writev: (items, done) => {
      const all = items.map(({ chunk }) => chunk as T)
      settle(sink.write(all), done)
    },
    final: (done) => settle(sink.finish(), done),
  })
}

function settle(promise: Promise<void>, done: (error?: Error | null) => void): void {
  promise.then(() => done(), done)
}

export type { Readable as NodeReadable, Writable as NodeWritable } from 'node:stream'
