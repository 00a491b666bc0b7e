/**
 * Batches as other clients write them, of GOLDEN_RECORDS, in golden-batches.json: made with the clients' versions that
 * test/peers/clients/ pins by test/peers/golden-batches.compat.ts, which has the command to make them anew.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { RecordBatch } from '../../../src/record/index.ts'

export const goldenPath: string = fileURLToPath(new URL('golden-batches.json', import.meta.url))

export interface GoldenBatch {
  readonly client: string
  readonly codec: 'gzip' | 'snappy' | 'lz4' | 'zstd'
  readonly base64: string
}

/** Keys, values and values of headers in base64; null is null. */
export interface GoldenRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
}

export function goldenBatches(): readonly GoldenBatch[] {
  return existsSync(goldenPath) ? (JSON.parse(readFileSync(goldenPath, 'utf8')) as GoldenBatch[]) : []
}

const base64 = (bytes: Uint8Array | string | null): string | null =>
  bytes === null ? null : Buffer.from(bytes as string).toString('base64')

/** The last one takes several blocks of every framing. */
export const GOLDEN_RECORDS: readonly GoldenRecord[] = [
  ...Array.from({ length: 8 }, (_, index) => ({
    key: index % 3 === 0 ? null : `user-${index}`,
    value:
      index === 5 ? null : JSON.stringify({ id: index, kind: 'page-view', path: `/shop/${index}`, took: index * 37 }),
    headers:
      index % 2 === 0
        ? ([
            ['trace', `${index}`],
            ['trace', ''],
          ] as const)
        : [],
  })),
  { key: '', value: 'golden '.repeat(10_000), headers: [] },
].map(({ key, value, headers }, offset) => ({
  offset,
  timestamp: 1_700_000_000_000 + offset * 13,
  key: base64(key),
  value: base64(value),
  headers: headers.map(([name, text]) => [name, base64(text)] as const),
}))

export function goldenRecordsOf(batch: RecordBatch): GoldenRecord[] {
  return Array.from(batch, ({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key: base64(key),
    value: base64(value),
    headers: headers.map((header) => [header.key, base64(header.value)] as const),
  }))
}
