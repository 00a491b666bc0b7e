/**
 * Records as streams, Node's and the web's. They are made of readers and appends and add nothing but the record in place
 * of the batch, which costs: a loop over `log.read` is several times faster. Back-pressure is real in both directions.
 */
import {
  type ItemSink,
  type ItemSource,
  type NodeReadable,
  type NodeWritable,
  nodeReadable,
  nodeWritable,
} from '../env/index.ts'
import { BATCH_HEADER_BYTES, LogRecord, RecordCursor } from '../record/index.ts'
import type { AppendResult } from './append-queue.ts'
import type { LogReader } from './log-reader.ts'
import type { LogSettings } from './log-settings.ts'
import { type AppendOptions, checkRecord, type Durability, type RecordInput } from './record-input.ts'

/** Records that a stream holds. */
const HIGH_WATER_MARK = 1024
/** Estimated bytes that go into one append of a stream, at most. */
const APPEND_BYTES = 262_144

export interface StreamOptions {
  /** Records that the stream may hold, 1024 by default. */
  readonly highWaterMark?: number
}

export interface WriteStreamOptions extends StreamOptions {
  /** Of each append; however it is, the stream is finished or closed only when everything is on the device. */
  readonly durability?: Durability
  /** Aborts the stream with PAGELOG_ABORTED; what was on its way may still be appended. */
  readonly signal?: AbortSignal
}

/** What the streams write to. */
export interface AppendTarget {
  readonly settings: Pick<LogSettings, 'maxMessageBytes' | 'segmentBytes'>
  append(records: readonly RecordInput[], options: AppendOptions): Promise<AppendResult>
  flush(): Promise<void>
}

/** Record by record. Each stays valid; its reader must not reuse buffers. */
export class RecordSource implements ItemSource<LogRecord> {
  readonly #reader: LogReader
  readonly #cursor = new RecordCursor()

  constructor(reader: LogReader) {
    this.#reader = reader
  }

  take(): LogRecord | undefined {
    while (!this.#cursor.next()) {
      const batch = this.#reader.tryNext()
      if (batch === undefined) return undefined
      batch.cursor(this.#cursor)
    }
    return new LogRecord(this.#cursor)
  }

  async more(): Promise<boolean> {
    const { value: batch } = await this.#reader.next()
    batch?.cursor(this.#cursor)
    return batch !== undefined
  }

  close(): Promise<unknown> {
    return this.#reader.return()
  }
}

/** For the convenience of `for await (const record of …)`: one promise a record, which is slow. */
export async function* recordsOf(reader: LogReader): AsyncGenerator<LogRecord, void, undefined> {
  const source = new RecordSource(reader)
  try {
    do {
      for (let record = source.take(); record !== undefined; record = source.take()) yield record
    } while (await source.more())
  } finally {
    await source.close()
  }
}

export function readStream(reader: LogReader, options: StreamOptions): NodeReadable {
  return nodeReadable(new RecordSource(reader), { highWaterMark: options.highWaterMark ?? HIGH_WATER_MARK })
}

export function writeStream(log: AppendTarget, options: WriteStreamOptions): NodeWritable {
  const sink = new RecordSink(log, options)
  return nodeWritable(sink, { highWaterMark: options.highWaterMark ?? HIGH_WATER_MARK })
}

export function webReadable(reader: LogReader, options: StreamOptions): ReadableStream<LogRecord> {
  const source = new RecordSource(reader)
  const strategy = new CountQueuingStrategy({ highWaterMark: options.highWaterMark ?? HIGH_WATER_MARK })
  const pull = async (controller: ReadableStreamDefaultController<LogRecord>): Promise<void> => {
    for (;;) {
      while ((controller.desiredSize ?? 0) > 0) {
        const record = source.take()
        if (record === undefined) break
        controller.enqueue(record)
      }
      if ((controller.desiredSize ?? 0) <= 0) return
      if (!(await source.more())) return controller.close()
    }
  }
  const cancel = async (): Promise<void> => {
    await source.close()
  }
  return new ReadableStream<LogRecord>({ pull, cancel }, strategy)
}

/**
 * `write` resolves when the record is taken in, at once while the appends keep up; `close` when all are on the device.
 * What an append meets is thrown by the next write or by `close`.
 */
export function webWritable(log: AppendTarget, options: WriteStreamOptions): WritableStream<RecordInput> {
  const gathering = new GatheringSink(new RecordSink(log, options), options.highWaterMark ?? HIGH_WATER_MARK)
  return new WritableStream<RecordInput>({
    write: (record) => gathering.add(record),
    close: () => gathering.finish(),
    abort: () => gathering.drop(),
  })
}

/** Appends arrays of records, one after the other: when one fails, nothing behind it is appended. */
class RecordSink implements ItemSink<RecordInput> {
  readonly #log: AppendTarget
  readonly #options: AppendOptions

  constructor(log: AppendTarget, { durability, signal }: WriteStreamOptions) {
    this.#log = log
    this.#options = { ...(durability && { durability }), ...(signal && { signal }) }
  }

  async write(records: readonly RecordInput[]): Promise<void> {
    const { maxMessageBytes, segmentBytes } = this.#log.settings
    const bytesMax = Math.min(APPEND_BYTES, maxMessageBytes, segmentBytes) - BATCH_HEADER_BYTES
    let from = 0
    let bytes = 0
    for (let at = 0; at < records.length; at++) {
      const size = checkRecord(records[at]!)
      if (at > from && bytes + size > bytesMax) {
        await this.#log.append(records.slice(from, at), this.#options)
        from = at
        bytes = 0
      }
      bytes += size
    }
    if (from < records.length) await this.#log.append(records.slice(from), this.#options)
  }

  finish(): Promise<void> {
    return this.#log.flush()
  }
}

/** The web's streams write one item at a time: this one gathers them while an append is under way. */
class GatheringSink {
  readonly #sink: RecordSink
  readonly #countMax: number
  #waiting: RecordInput[] = []
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(sink: RecordSink, countMax: number) {
    this.#sink = sink
    this.#countMax = countMax
  }

  async add(record: RecordInput): Promise<void> {
    checkRecord(record)
    while (this.#waiting.length >= this.#countMax) await this.#writing
    if (this.#failure !== undefined) throw this.#failure.error
    this.#waiting.push(record)
    this.#writing ??= this.#write()
  }

  async finish(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
    if (this.#failure !== undefined) throw this.#failure.error
    await this.#sink.finish()
  }

  drop(): void {
    this.#waiting = []
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const records = this.#waiting
        this.#waiting = []
        await this.#sink.write(records)
      }
    } catch (error) {
      this.#failure = { error }
      this.#waiting = []
    } finally {
      this.#writing = undefined
    }
  }
}
