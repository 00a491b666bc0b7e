/** The scan of a directory by the addon: one call of the pool, whose answer is decoded here. */
import type { FileCalls } from '../../native/index.ts'
import type { ScannedFile, TailRule } from '../disk.ts'

const NO_TAIL = 0xffffffff
/** Two uint32 and a float64. */
const ENTRY_BYTES = 16
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1
const textDecoder = new TextDecoder()

/** Rejects as Node's own calls do. */
export async function scanDirectory(
  calls: FileCalls,
  path: string,
  rules: readonly TailRule[],
): Promise<ScannedFile[]> {
  const lines = rules.map(({ suffix, bytes, lastOnly }) => `${lastOnly ? 'last' : 'all'} ${bytes} ${suffix}\n`)
  return decode(await calls.scan(path, lines.join('')))
}

function decode(answer: ArrayBuffer): ScannedFile[] {
  const view = new DataView(answer)
  const files: ScannedFile[] = []
  for (let at = 0; at < answer.byteLength; ) {
    const nameLength = view.getUint32(at, IS_LITTLE_ENDIAN)
    const tailLength = view.getUint32(at + 4, IS_LITTLE_ENDIAN)
    const size = view.getFloat64(at + 8, IS_LITTLE_ENDIAN)
    at += ENTRY_BYTES
    const name = textDecoder.decode(new Uint8Array(answer, at, nameLength))
    at += nameLength
    const tail = tailLength === NO_TAIL ? undefined : new Uint8Array(answer, at, tailLength)
    at += tail?.length ?? 0
    files.push({ name, size, tail })
  }
  return files
}
