/**
 * Snapshots of the producer state, in Kafka's files `<offset>.snapshot`: what the batches before that offset say. Written
 * at every roll and at a clean close, so that an open replays little of the log.
 *
 *   int16 version = 1 | uint32 CRC-32C of all that follows it | int32 count | entries of 46 bytes:
 *   int64 producer id | int16 epoch | int32 last sequence | int64 last offset | int32 offset delta | int64 timestamp |
 *   int32 coordinator epoch | int64 first offset of the open transaction, -1 none
 *
 * Each of the batches of a producer that are remembered has an entry, the newest last, which is the one that Kafka takes;
 * its own snapshots have only that. A snapshot that is damaged, cut off or of a later version counts
 * as absent: an older one, in the end the log itself, has the same to say.
 */
import { hasCode } from '../base/index.ts'
import type { Disk } from '../env/index.ts'
import { crc32c, readInt32, readInt64, writeInt32, writeInt64 } from '../record/index.ts'
import { segmentFileName } from './file-names.ts'
import { BATCHES_KEPT, type ProducerEntry, ProducerState } from './producer-state.ts'

const VERSION = 1
const CRC_AT = 2
const COUNT_AT = 6
const HEADER_BYTES = 10
const ENTRY_BYTES = 46

/** The content of the file. */
export function encodeSnapshot(state: ProducerState): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + state.size * BATCHES_KEPT * ENTRY_BYTES)
  bytes[1] = VERSION
  let count = 0
  for (const entry of state.entries()) writeEntry(bytes, HEADER_BYTES + count++ * ENTRY_BYTES, entry)
  writeInt32(bytes, COUNT_AT, count)
  const content = bytes.subarray(0, HEADER_BYTES + count * ENTRY_BYTES)
  writeInt32(content, CRC_AT, crc32c(content, COUNT_AT, content.length))
  return content
}

/** The entries of a snapshot taken at `offset`; undefined when `content` is none. */
export function decodeSnapshot(content: Uint8Array, offset: number): ProducerEntry[] | undefined {
  if (content.length < HEADER_BYTES || content[0] !== 0 || content[1] !== VERSION) return undefined
  const count = readInt32(content, COUNT_AT)
  if (count < 0 || content.length !== HEADER_BYTES + count * ENTRY_BYTES) return undefined
  if (crc32c(content, COUNT_AT, content.length) !== readInt32(content, CRC_AT) >>> 0) return undefined
  const entries: ProducerEntry[] = []
  for (let slot = 0; slot < count; slot++) entries.push(readEntry(content, HEADER_BYTES + slot * ENTRY_BYTES))
  const isBefore = (entry: ProducerEntry): boolean =>
    entry.lastOffset < offset && entry.transactionFirstOffset < offset && entry.offsetDelta >= 0
  return entries.every(isBefore) ? entries : undefined
}

export class ProducerSnapshots {
  readonly #disk: Disk
  readonly #directory: string
  /** Rising. */
  #offsets: number[]
  /** Content that was read already. */
  #known: { readonly offset: number; readonly content: Uint8Array } | undefined
  #hasRemoved = false

  /** `offsets` of the snapshots that are there; of one the content may be known. */
  constructor(
    disk: Disk,
    directory: string,
    offsets: readonly number[],
    known?: { readonly offset: number; readonly content: Uint8Array },
  ) {
    this.#known = known
    this.#disk = disk
    this.#directory = directory
    this.#offsets = [...offsets].sort((a, b) => a - b)
  }

  get offsets(): readonly number[] {
    return this.#offsets
  }
  /** Files went since this began. */
  get hasRemoved(): boolean {
    return this.#hasRemoved
  }
  pathOf(offset: number): string {
    return `${this.#directory}/${segmentFileName(offset, '.snapshot')}`
  }

  /**
   * Writes the snapshot taken at `offset`; durable when it returns. On a full disk there is none: the log has it all.
   * Errors: PAGELOG_STORAGE.
   */
  async take(offset: number, content: Uint8Array): Promise<void> {
    try {
      await this.#disk.replaceFile(this.pathOf(offset), content)
    } catch (error) {
      if (hasCode(error, 'PAGELOG_DISK_FULL')) return
      throw error
    }
    if (!this.#offsets.includes(offset)) this.#offsets = [...this.#offsets, offset].sort((a, b) => a - b)
  }

  /**
   * The newest good one at or before `offset`; none: the empty state, which is that before offset 0. One from before
   * `firstOffset`, where the log's first segment begins, counts as absent: what the batches between them said is gone (they
   * were trimmed when the disk had no room for a newer one), and a producer that is unknown may go on where one that is
   * known as it once was may not.
   */
  async loadLatest(offset: number, firstOffset: number): Promise<{ offset: number; state: ProducerState }> {
    for (const candidate of this.#offsets.filter((one) => one >= firstOffset && one <= offset).reverse()) {
      const entries = await this.read(candidate)
      if (entries !== undefined) return { offset: candidate, state: ProducerState.of(entries) }
    }
    return { offset: 0, state: new ProducerState() }
  }

  /** Undefined when it is missing or damaged. */
  async read(offset: number): Promise<ProducerEntry[] | undefined> {
    const known = this.#known
    this.#known = undefined
    const content = known?.offset === offset ? known.content : await this.#disk.readFile(this.pathOf(offset))
    return content === undefined ? undefined : decodeSnapshot(content, offset)
  }

  /** That of `offset`. */
  async remove(offset: number): Promise<void> {
    await this.#remove((one) => one === offset)
  }

  /** The log ends at `endOffset` now: those beyond it speak of batches that are gone. */
  async removeBeyond(endOffset: number): Promise<void> {
    await this.#remove((offset) => offset > endOffset)
  }

  /** The log starts at `startOffset` now: those before it are needed no more, but for the newest. */
  async removeBefore(startOffset: number): Promise<void> {
    const newest = this.#offsets.filter((offset) => offset <= startOffset).at(-1) ?? -1
    await this.#remove((offset) => offset < newest)
  }

  /** Removes all but those that `isWanted` and the newest. */
  async removeStray(isWanted: (offset: number) => boolean): Promise<void> {
    const newest = this.#offsets.at(-1)
    await this.#remove((offset) => offset !== newest && !isWanted(offset))
  }

  async #remove(isGone: (offset: number) => boolean): Promise<void> {
    const gone = this.#offsets.filter(isGone)
    if (gone.length === 0) return
    this.#hasRemoved = true
    this.#offsets = this.#offsets.filter((offset) => !isGone(offset))
    for (const offset of gone) await this.#disk.unlink(this.pathOf(offset))
  }
}

function writeEntry(bytes: Uint8Array, at: number, entry: ProducerEntry): void {
  writeInt64(bytes, at, entry.producerId)
  bytes[at + 8] = (entry.producerEpoch >> 8) & 0xff
  bytes[at + 9] = entry.producerEpoch & 0xff
  writeInt32(bytes, at + 10, entry.lastSequence)
  writeInt64(bytes, at + 14, entry.lastOffset)
  writeInt32(bytes, at + 22, entry.offsetDelta)
  writeInt64(bytes, at + 26, entry.timestampMs)
  writeInt32(bytes, at + 34, entry.coordinatorEpoch)
  writeInt64(bytes, at + 38, entry.transactionFirstOffset)
}

function readEntry(bytes: Uint8Array, at: number): ProducerEntry {
  return {
    producerId: readInt64(bytes, at),
    producerEpoch: ((bytes[at + 8]! << 24) >> 16) | bytes[at + 9]!,
    lastSequence: readInt32(bytes, at + 10),
    lastOffset: readInt64(bytes, at + 14),
    offsetDelta: readInt32(bytes, at + 22),
    timestampMs: readInt64(bytes, at + 26),
    coordinatorEpoch: readInt32(bytes, at + 34),
    transactionFirstOffset: readInt64(bytes, at + 38),
  }
}
