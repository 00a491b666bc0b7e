/** Inputs and expectations that the tests of the codecs share. */
import { expect } from 'vitest'
import { hasCode, type OperatingErrorCode, PagelogError } from '../../../src/base/index.ts'
import { type Codec, loadCodec } from '../../../src/record/index.ts'

export const MAX_BYTES = 1 << 24

/** Every codec that this Node has; zstd wants a newer one than the oldest supported, or its package. */
export async function availableCodecs(): Promise<Codec[]> {
  const codecs = await Promise.all([0, 1, 2, 3].map((number) => loadCodec(number)))
  try {
    codecs.push(await loadCodec(4))
  } catch (error) {
    expect(hasCode(error, 'PAGELOG_UNSUPPORTED')).toBe(true)
  }
  return codecs
}

/** Bytes that no codec makes smaller, the same in every run. */
export function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = length + 1
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[index] = state >>> 24
  }
  return bytes
}

/** Lines that compress well, cut to `length`. */
export function lines(length: number): Uint8Array {
  const line = '2026-01-02T03:04:05Z INFO request served path=/shop/cart status=200 took='
  let text = ''
  for (let index = 0; text.length < length; index++) text += `${line}${(index * 37) % 1000}ms\n`
  return new TextEncoder().encode(text.slice(0, length))
}

export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const all = parts.map((part) => Uint8Array.from(part))
  const joined = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of all) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** Runs `work`, which must throw one of ours with this code; its message. */
export function refusal(work: () => unknown, code: OperatingErrorCode): string {
  try {
    work()
  } catch (error) {
    if (hasCode(error, code)) return error.message
    throw error
  }
  throw new Error(`expected ${code}, nothing was thrown`)
}

/** The result, or undefined for an error of ours; any other error is thrown on. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof PagelogError) return undefined
    throw error
  }
}

/** Bytes are compared as text: far faster for long ones than element by element. */
export const latin = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
