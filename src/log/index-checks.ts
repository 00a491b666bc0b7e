/** Compares the index files of a segment with its batches, met one after the other. */
import { readInt32, readInt64 } from '../record/index.ts'
import { OFFSET_ENTRY_BYTES } from './offset-index.ts'
import { TIME_ENTRY_BYTES } from './time-index.ts'
import type { LogProblemKind, VerifyFindings } from './verify-report.ts'

/** A batch, as the checks see it. */
export interface MetBatch {
  readonly position: number
  readonly first: number
  readonly last: number
  readonly maxTimestamp: number
}

interface IndexFile {
  readonly path: string
  readonly content: Uint8Array
  readonly baseOffset: number
}

/**
 * Every entry must have the position of a batch and name an offset from its last one on: older Kafkas name the last of
 * several batches that were appended at once, which leads to the first of them and no reader astray.
 */
export class OffsetIndexCheck {
  readonly #file: IndexFile
  readonly #findings: VerifyFindings
  #at = 0
  #before = { offset: -1, position: -1 }

  constructor(file: IndexFile, findings: VerifyFindings) {
    this.#file = file
    this.#findings = findings
    if (file.content.length % OFFSET_ENTRY_BYTES !== 0) this.#problem('its size is no multiple of an entry')
  }

  batch({ position, last }: MetBatch): void {
    while (this.#hasEntry && this.#position < position) this.#next('leads to no batch')
    if (!this.#hasEntry || this.#position !== position) return
    this.#next(this.#offset < last ? `names offset ${this.#offset}, but the batch ends at ${last}` : undefined)
  }

  /** Bytes up to position `end` are no batch: what leads there led to one once. */
  lost(end: number): void {
    while (this.#hasEntry && this.#position < end) this.#next(undefined)
  }

  end(): void {
    while (this.#hasEntry) this.#next('leads behind the last batch')
  }

  get #hasEntry(): boolean {
    return this.#at + OFFSET_ENTRY_BYTES <= this.#file.content.length
  }
  get #offset(): number {
    return this.#file.baseOffset + readInt32(this.#file.content, this.#at)
  }
  get #position(): number {
    return readInt32(this.#file.content, this.#at + 4)
  }

  #next(fault: string | undefined): void {
    const entry = { offset: this.#offset, position: this.#position }
    const rises = entry.offset > this.#before.offset && entry.position > this.#before.position
    const reason = fault ?? (rises ? undefined : 'does not rise')
    if (reason !== undefined) this.#problem(`entry of position ${entry.position} ${reason}`)
    this.#before = entry
    this.#at += OFFSET_ENTRY_BYTES
  }

  #problem(message: string): void {
    add(this.#findings, 'offset-index', this.#file, this.#at, message)
  }
}

/** Timestamps rise, each is the largest of a batch that holds the offset named, and the last is the segment's largest. */
export class TimeIndexCheck {
  readonly #file: IndexFile
  readonly #findings: VerifyFindings
  #at = 0
  #before = -1
  #largest = -1
  #hasLost = false

  constructor(file: IndexFile, findings: VerifyFindings) {
    this.#file = file
    this.#findings = findings
    if (file.content.length % TIME_ENTRY_BYTES !== 0) this.#problem('its size is no multiple of an entry')
  }

  batch({ last, maxTimestamp }: MetBatch): void {
    this.#largest = Math.max(this.#largest, maxTimestamp)
    while (this.#hasEntry && this.#offset <= last) {
      const isNamed = this.#hasLost || (this.#timestamp === maxTimestamp && this.#timestamp === this.#largest)
      this.#next(isNamed ? undefined : `is not the largest timestamp up to offset ${this.#offset}`)
    }
  }

  /** Bytes are no batch: which timestamps were in them is not known. */
  lost(): void {
    this.#hasLost = true
  }

  /** `isSealed`: the entry of the largest timestamp closes it. */
  end(isSealed: boolean): void {
    while (this.#hasEntry) this.#next(this.#hasLost ? undefined : 'names an offset behind the last batch')
    if (isSealed && this.#before < this.#largest) this.#problem(`lacks the largest timestamp ${this.#largest}`)
  }

  get #hasEntry(): boolean {
    return this.#at + TIME_ENTRY_BYTES <= this.#file.content.length
  }
  get #timestamp(): number {
    return readInt64(this.#file.content, this.#at)
  }
  get #offset(): number {
    return this.#file.baseOffset + readInt32(this.#file.content, this.#at + 8)
  }

  #next(fault: string | undefined): void {
    const timestamp = this.#timestamp
    const reason = fault ?? (timestamp > this.#before ? undefined : 'does not rise')
    if (reason !== undefined) this.#problem(`timestamp ${timestamp} ${reason}`)
    this.#before = timestamp
    this.#at += TIME_ENTRY_BYTES
  }

  #problem(message: string): void {
    add(this.#findings, 'time-index', this.#file, this.#at, message)
  }
}

function add(findings: VerifyFindings, kind: LogProblemKind, file: IndexFile, position: number, message: string): void {
  findings.add(kind, file.path, message, { position })
}
