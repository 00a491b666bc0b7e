/**
 * The file below the embedded engine: entries appended one write at a time, each synced before the next is begun.
 *
 *   entry   0  u32  payload length
 *           4  u32  CRC-32 of the payload
 *           8  u32  CRC-32 of bytes 0..7
 *          12       payload (UTF-8 JSON, opaque here)
 *
 * Because no write starts before the one in front of it is durable, only the last entry can be torn. So an invalid
 * entry with a valid one behind it is damage, not a torn tail: opening refuses with PAGELOG_CORRUPT instead of cutting
 * acknowledged changes. Compaction writes a whole new file beside the old one and renames it over it.
 */
import { assert, type Logger, PagelogError } from '../base/index.ts'
import type { Disk, File } from '../env/index.ts'
import { crc32 } from './crc32.ts'

const HEADER_BYTES = 12
/** One entry holds one group of transactions; far above any real one. */
const ENTRY_BYTES_MAX = 256 * 1024 * 1024

export interface JournalOptions {
  readonly disk: Disk
  readonly path: string
  readonly logger?: Logger
}

export class Journal {
  readonly #disk: Disk
  readonly #path: string
  #file: File
  #size: number
  #failure: PagelogError | undefined

  private constructor(disk: Disk, path: string, file: File, size: number) {
    this.#disk = disk
    this.#path = path
    this.#file = file
    this.#size = size
  }

  /** Opens or creates the journal, hands every stored payload to `replay` in order and cuts a torn tail off. */
  static async open(options: JournalOptions, replay: (payload: string) => void): Promise<Journal> {
    const { disk, path, logger } = options
    const content = await disk.readFile(path)
    const end = content === undefined ? 0 : replayEntries(path, content, replay)
    const file = await disk.open(path, 'write')
    const journal = new Journal(disk, path, file, end)
    if (content === undefined) {
      await disk.syncDirectory(path.slice(0, path.lastIndexOf('/')))
    } else if (end < content.length) {
      const bytesDropped = content.length - end
      logger?.warn({ path, position: end, bytesDropped }, 'metadata journal: cut a torn last entry')
      await file.truncate(end)
      await file.dataSync()
    }
    return journal
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size
  }

  /** Appends one entry; resolves when it is durable. One call at a time. After PAGELOG_STORAGE every call rejects. */
  async append(payload: string): Promise<void> {
    if (this.#failure) throw this.#failure
    const entry = encodeEntry(payload)
    try {
      await this.#file.write([entry], this.#size)
      await this.#file.dataSync()
    } catch (error) {
      throw this.#failed(error)
    }
    this.#size += entry.length
  }

  /**
   * Replaces all entries by one; the old file stays valid until the new one is durable. One call at a time. After
   * PAGELOG_DISK_FULL everything is as before.
   */
  async compact(payload: string): Promise<void> {
    if (this.#failure) throw this.#failure
    const entry = encodeEntry(payload)
    try {
      await this.#disk.replaceFile(this.#path, entry)
      const old = this.#file
      this.#file = await this.#disk.open(this.#path, 'write')
      await old.close()
    } catch (error) {
      // Unless the old file is known to be in place, no later entry may be appended to either of the two.
      throw this.#failed(error, !(await this.#isInPlace(entry.length)))
    }
    this.#size = entry.length
  }

  /** Whether the file under the name is ours still, and not the one of `newSize` bytes that was to replace it. */
  async #isInPlace(newSize: number): Promise<boolean> {
    const status = await this.#disk.status(this.#path).catch(() => undefined)
    return status?.size === this.#size && newSize !== this.#size
  }

  async close(): Promise<void> {
    this.#failure ??= new PagelogError('PAGELOG_CLOSED', 'the metadata journal is closed', { path: this.#path })
    await this.#file.close()
  }

  /** A full disk refuses one change and keeps the file as it was; anything else ends the journal (reliability L5). */
  #failed(error: unknown, always = false): PagelogError {
    if (!always && error instanceof PagelogError && error.code === 'PAGELOG_DISK_FULL') return error
    this.#failure = new PagelogError('PAGELOG_STORAGE', 'the metadata journal failed and is offline until restart', {
      cause: error,
      path: this.#path,
      position: this.#size,
    })
    return this.#failure
  }
}

export function encodeEntry(payload: string): Uint8Array {
  const text = new TextEncoder().encode(payload)
  assert(text.length <= ENTRY_BYTES_MAX, 'a metadata journal entry stays below its limit')
  const entry = new Uint8Array(HEADER_BYTES + text.length)
  const view = new DataView(entry.buffer)
  view.setUint32(0, text.length)
  view.setUint32(4, crc32(text))
  view.setUint32(8, crc32(entry, 0, 8))
  entry.set(text, HEADER_BYTES)
  return entry
}

/** Replays valid entries from the start; returns where they end. Throws PAGELOG_CORRUPT for damage before the tail. */
function replayEntries(path: string, content: Uint8Array, replay: (payload: string) => void): number {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let position = 0
  for (;;) {
    const length = validEntryLength(content, position)
    if (length < 0) break
    const payload = content.subarray(position + HEADER_BYTES, position + HEADER_BYTES + length)
    try {
      replay(decoder.decode(payload))
    } catch (cause) {
      const message = `the entry at byte ${position} of ${path} is none of a metadata journal`
      throw new PagelogError('PAGELOG_CORRUPT', message, { cause, path, position })
    }
    position += HEADER_BYTES + length
  }
  for (let later = position + 1; later + HEADER_BYTES <= content.length; later++) {
    if (validEntryLength(content, later) >= 0) {
      const message = `the metadata journal ${path} is damaged at byte ${position}, before its last entry`
      throw new PagelogError('PAGELOG_CORRUPT', message, { path, position })
    }
  }
  return position
}

/** Payload length of a whole and valid entry at `position`, else -1. */
function validEntryLength(content: Uint8Array, position: number): number {
  if (position + HEADER_BYTES > content.length) return -1
  const view = new DataView(content.buffer, content.byteOffset + position)
  const length = view.getUint32(0)
  // The length is compared first: it is cheap, and nearly every position of a scan fails it.
  if (length === 0 || position + HEADER_BYTES + length > content.length) return -1
  if (view.getUint32(8) !== crc32(content, position, position + 8)) return -1
  const start = position + HEADER_BYTES
  return view.getUint32(4) === crc32(content, start, start + length) ? length : -1
}
