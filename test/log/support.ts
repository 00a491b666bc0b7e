/** What the tests of this room share: batches, reading a log back, a disk that fails on demand; directories are in disks.ts. */
import { defaultsOf, PagelogError } from '../../src/base/index.ts'
import type { Disk, Env, File, FileRegion, OpenMode } from '../../src/env/index.ts'
import { inThreadWorkers, nodeEnv } from '../../src/env/index.ts'
import { Log, type LogOptions, type LogSettings, logSettings } from '../../src/log/index.ts'
import { BatchWriter, batchesOf } from '../../src/record/index.ts'
import { currentDisk } from './disks.ts'

export { temporaryDirectory } from './disks.ts'

const real = nodeEnv()
/** The real world, but for the disk: see `onEachDisk`. */
export const env: Env = {
  ...real,
  get disk() {
    return currentDisk()
  },
  get workers() {
    const disk = currentDisk()
    return disk === real.disk ? real.workers : inThreadWorkers({ disk, clock: real.clock })
  },
}
export const defaults: LogSettings = defaultsOf(logSettings)

export interface BatchFields {
  count?: number
  key?: string
  value?: string
  timestampMs?: number
  producerId?: number
  producerEpoch?: number
  baseSequence?: number
}

/** A finished batch in bytes of its own: `count` records with the same value. */
export function batch(fields: BatchFields = {}): Uint8Array {
  const { count = 1, value = 'value', timestampMs = 1_700_000_000_000 } = fields
  const bytes = new TextEncoder().encode(value)
  const key = fields.key === undefined ? null : new TextEncoder().encode(fields.key)
  const writer = new BatchWriter(new Uint8Array(61 + count * (bytes.length + (key?.length ?? 0) + 32)))
  for (let index = 0; index < count; index++) writer.append(timestampMs, key, bytes)
  const { producerId = -1, producerEpoch = -1, baseSequence = -1 } = fields
  return writer.finish({ producerId, producerEpoch, baseSequence }).slice()
}

export function openLog(directory: string, options: Partial<LogOptions> = {}): Promise<Log> {
  return Log.open({ env, directory, settings: defaults, recoveryPoint: 0, cleanShutdown: false, ...options })
}

/** The bytes of a region list, regions released. */
export async function bytesOf(regions: readonly FileRegion[]): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  try {
    for (const region of regions) {
      const part = new Uint8Array(region.length)
      const count = await region.file.read(part, region.position)
      parts.push(part.subarray(0, count))
    }
  } finally {
    for (const region of regions) region.release()
  }
  return Buffer.concat(parts)
}

export interface StoredRecord {
  offset: number
  value: string
}

/** Every record from `offset` to the end, read in slices of `maxBytes`; fails on a hole. */
export async function readAll(log: Log, offset = log.logStartOffset, maxBytes = 1000): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  let next = offset
  while (next < log.logEndOffset) {
    const slice = await log.slice(next, maxBytes, { minOneBatch: true })
    const before = next
    for (const one of batchesOf(await bytesOf(slice.regions))) {
      if (!one.isValid()) throw new Error(`batch at ${one.baseOffset} is damaged`)
      for (const record of one) {
        if (record.offset < next) continue
        if (record.offset !== next) throw new Error(`hole: ${next} expected, ${record.offset} found`)
        records.push({ offset: record.offset, value: new TextDecoder().decode(record.value ?? new Uint8Array()) })
        next++
      }
    }
    if (next === before) throw new Error(`no progress at ${next}`)
  }
  return records
}

/** What a failing disk may fail. */
export type Operation =
  | 'write'
  | 'dataSync'
  | 'truncate'
  | 'open'
  | 'replaceFile'
  | 'syncDirectory'
  | 'read'
  | 'allocate'
  | 'rename'
  | 'unlink'

/**
 * A disk on which `fails` decides call by call which operations fail and how. A write that is refused leaves
 * the file as it was, as `File.write` promises. With `hold`, writes wait until `release` is called.
 */
export class FailingDisk {
  fails: (operation: Operation, path: string) => PagelogError | undefined = () => undefined
  readonly calls: { operation: Operation; path: string }[] = []
  #gate: Promise<void> = Promise.resolve()
  #held = ''
  #open: () => void = () => {}
  readonly disk: Disk

  constructor(inner: Disk = env.disk) {
    this.disk = {
      open: async (path, mode) => this.#file(await this.#guard('open', path, () => inner.open(path, mode)), mode),
      readFile: (path) => inner.readFile(path),
      replaceFile: (path, content) => this.#guard('replaceFile', path, () => inner.replaceFile(path, content)),
      status: (path) => inner.status(path),
      rename: (from, to) => this.#guard('rename', from, () => inner.rename(from, to)),
      unlink: (path) => this.#guard('unlink', path, () => inner.unlink(path)),
      list: (directory) => inner.list(directory),
      makeDirectory: (path) => inner.makeDirectory(path),
      removeDirectory: (path) => inner.removeDirectory(path),
      syncDirectory: (path) => this.#guard('syncDirectory', path, () => inner.syncDirectory(path)),
      freeSpace: (path) => inner.freeSpace(path),
      lock: (path) => inner.lock(path),
    }
  }

  get env(): Env {
    return { ...env, disk: this.disk }
  }

  /** Writes wait from now on, of files whose name ends with `suffix`. */
  hold(suffix = ''): void {
    this.#held = suffix
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
  }
  release(): void {
    this.#open()
  }
  count(operation: Operation): number {
    return this.calls.filter((call) => call.operation === operation).length
  }

  async #guard<T>(operation: Operation, path: string, run: () => Promise<T>): Promise<T> {
    this.calls.push({ operation, path })
    if (operation === 'write' && path.endsWith(this.#held)) await this.#gate
    const error = this.fails(operation, path)
    if (error !== undefined) throw error
    return await run()
  }

  #file(inner: File, _mode: OpenMode): File {
    const guard = <T>(operation: Operation, run: () => Promise<T>): Promise<T> =>
      this.#guard(operation, inner.path, run)
    let refusal: Error | undefined
    const write = async (parts: readonly Uint8Array[], position: number): Promise<void> => {
      try {
        await guard('write', async () => {
          if (refusal !== undefined && position > inner.size) throw refusal
          await inner.write(parts, position)
        })
      } catch (error) {
        refusal = error as Error
        throw error
      }
    }
    const dataSync = (): Promise<void> => guard('dataSync', () => inner.dataSync())
    return {
      path: inner.path,
      get size() {
        return inner.size
      },
      write,
      writeSynced: (parts, position) => {
        const written = write(parts, position)
        const synced = written.then(dataSync)
        synced.catch(() => {})
        return { written, synced, hurry: () => {} }
      },
      read: (into, position) => guard('read', () => inner.read(into, position)),
      tryRead: (into, position) => inner.tryRead(into, position),
      dataSync,
      truncate: (size) => guard('truncate', () => inner.truncate(size)),
      allocate: (position, length) => guard('allocate', () => inner.allocate(position, length)),
      dropCache: (position, length) => inner.dropCache(position, length),
      region: (position, length) => inner.region(position, length),
      close: () => inner.close(),
    }
  }
}

export function diskFull(path: string): PagelogError {
  return new PagelogError('PAGELOG_DISK_FULL', 'no space left on device', { path })
}
export function storageError(path: string): PagelogError {
  return new PagelogError('PAGELOG_STORAGE', 'input/output error', { path })
}
