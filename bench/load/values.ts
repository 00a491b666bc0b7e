/**
 * What records hold: random bytes; lines of a log or events as JSON (see compression/payloads.ts); bytes that lz4 makes
 * smaller by a stated ratio; or the lines of a file. All seeded, and made before the clock starts.
 */
import { readFileSync, statSync } from 'node:fs'
import { makePayload } from '../compression/payloads.ts'
import { randomBytes } from '../drivers/payloads.ts'
import { UsageError } from '../options.ts'

export type ValueSpec =
  | { readonly kind: 'random'; readonly bytes: number }
  | { readonly kind: 'text' | 'json' }
  | { readonly kind: 'compressible'; readonly bytes: number; readonly ratio: number }
  | { readonly kind: 'file'; readonly path: string }

const FILE_BYTES_MAX = 1 << 30
const VALUE_BYTES_MAX = 64 << 20
const RATIO_MAX = 20

/** `random`, `text`, `json`, `ratio:R` (of values of `bytes`), `file:PATH`. Throws UsageError. */
export function parseValues(text: string, bytes: number): ValueSpec {
  if (text === 'random') return { kind: 'random', bytes }
  if (text === 'text' || text === 'json') return { kind: text }
  if (text.startsWith('file:') && text.length > 5) return { kind: 'file', path: text.slice(5) }
  if (text.startsWith('ratio:')) {
    const ratio = Number(text.slice(6))
    if (ratio >= 1 && ratio <= RATIO_MAX) return { kind: 'compressible', bytes, ratio }
  }
  throw new UsageError(`--values ${text}: random, text, json, ratio:R (R from 1 to ${RATIO_MAX}) or file:PATH`)
}

/** Values of about `poolBytes` in all, to be sent in turn. */
export function makeValues(spec: ValueSpec, poolBytes: number, seed: number): readonly Uint8Array[] {
  switch (spec.kind) {
    case 'random':
      return cut(randomBytes(Math.max(1, Math.ceil(poolBytes / spec.bytes)) * spec.bytes, seed), spec.bytes)
    case 'text':
    case 'json':
      return makePayload(spec.kind, poolBytes, seed)
    case 'compressible':
      return compressible(spec.bytes, spec.ratio, poolBytes, seed)
    case 'file':
      return linesOf(spec.path)
  }
}

export function meanBytes(values: readonly Uint8Array[]): number {
  return values.reduce((sum, value) => sum + value.length, 0) / values.length
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: bytes.length / size }, (_, index) => bytes.subarray(index * size, (index + 1) * size))
}

/**
 * Of each value a part is random and the rest is the same in all of them. What a codec spends on a value whose rest it
 * knows (a match and its length, a record's framing) is about eleven bytes and one in 255: they are counted.
 */
function compressible(size: number, ratio: number, poolBytes: number, seed: number): Uint8Array[] {
  const perRecord = 11 + size / 255
  const random = Math.min(size, Math.max(1, Math.round((size + perRecord) / ratio - (ratio === 1 ? 0 : perRecord))))
  const values = cut(randomBytes(Math.max(1, Math.ceil(poolBytes / size)) * size, seed), size)
  const same = randomBytes(size, 0x5eed)
  if (ratio > 1) for (const value of values) value.set(same.subarray(random), random)
  return values
}

function linesOf(path: string): Uint8Array[] {
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined) throw new UsageError(`--values file:${path}: there is no such file`)
  if (size > FILE_BYTES_MAX) throw new UsageError(`--values file:${path}: larger than ${FILE_BYTES_MAX} bytes`)
  const bytes = readFileSync(path)
  const lines: Uint8Array[] = []
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(10, start)
    const end = found < 0 ? bytes.length : found
    if (end - start > VALUE_BYTES_MAX) throw new UsageError(`--values file:${path}: a line is too long`)
    if (end > start) lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  if (lines.length === 0) throw new UsageError(`--values file:${path}: no lines in it`)
  return lines
}
