/** The compression benchmark: its values, its command line, a tiny run against the schema, its report. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCompressionLine } from '../../bench/compression/options.ts'
import { makePayload, payloadKinds, readPayloadFile, writePayloadFile } from '../../bench/compression/payloads.ts'
import { renderCompressionReport } from '../../bench/compression/report.ts'
import type { CompressionResult } from '../../bench/compression/result.ts'
import { defaultSettings, levelsOf, runCompression, throughputCases } from '../../bench/compression/run.ts'
import { formatCompression } from '../../bench/compression/table.ts'
import { Progress } from '../../bench/measure/progress.ts'
import { UsageError } from '../../bench/options.ts'
import { BatchWriter, compressBatch, loadCodec } from '../../src/record/index.ts'

const schema = JSON.parse(readFileSync(new URL('../../bench/result.schema.json', import.meta.url), 'utf8')) as object
const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema)

let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-compression-bench-'))
})

afterAll(() => {
  rmSync(directory, { recursive: true, force: true })
})

describe('payloads', () => {
  test.each(payloadKinds)('%s: the same for a seed, others for another, no two equal', (kind) => {
    const values = makePayload(kind, 200_000)
    expect(values.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThanOrEqual(200_000)
    expect(makePayload(kind, 200_000)).toEqual(values)
    expect(makePayload(kind, 200_000, 6)[0]).not.toEqual(values[0])
    expect(new Set(values.map((value) => Buffer.from(value).toString('latin1'))).size).toBe(values.length)
  })

  test('events are JSON, lines are one line each', () => {
    for (const value of makePayload('json', 20_000))
      expect(JSON.parse(Buffer.from(value).toString())).toBeTypeOf('object')
    for (const value of makePayload('text', 20_000)) expect(value.includes(10)).toBe(false)
  })

  test.each([
    ['text', 2.3, 3.3],
    ['json', 2.3, 3.3],
    ['random', 0.98, 1.02],
  ] as const)('%s compresses as it is said to', async (kind, low, high) => {
    const lz4 = await loadCodec(3)
    let plain = 0
    let packed = 0
    let writer = new BatchWriter(new Uint8Array(65_536))
    for (const value of makePayload(kind, 1 << 20)) {
      if (writer.append(0, null, value)) continue
      const batch = writer.finish()
      plain += batch.length
      packed += compressBatch(batch, lz4).length
      writer = new BatchWriter(new Uint8Array(65_536))
    }
    expect(plain / packed).toBeGreaterThan(low)
    expect(plain / packed).toBeLessThan(high)
  })

  test('a file gives them back', () => {
    const values = makePayload('text', 10_000)
    const path = join(directory, 'payload')
    writePayloadFile(path, values)
    expect(readPayloadFile(path).map((value) => Uint8Array.from(value))).toEqual(
      values.map((value) => Uint8Array.from(value)),
    )
  })
})

describe('command line', () => {
  test('nothing said: every codec, JSON through the broker, every client', () => {
    expect(readCompressionLine([])?.settings).toEqual(defaultSettings)
  })

  test('what is named is measured, also through the broker', () => {
    const line = readCompressionLine([
      '--codecs',
      'zstd,lz4',
      '--payloads',
      'text',
      '--workers',
      '2',
      '--levels',
      '1,5',
    ])
    expect(line?.settings).toMatchObject({ codecs: ['lz4', 'zstd'], throughputPayloads: ['text'], workers: [2] })
    expect(levelsOf('zstd', line!.settings.levels)).toEqual([1, 5])
    expect(levelsOf('lz4', line!.settings.levels)).toEqual([null])
    const cases = throughputCases(line!.settings).filter(({ client }) => client === 'java')
    expect(cases.map(({ codec, level }) => `${codec} ${level}`).slice(0, 3)).toEqual(['lz4 null', 'zstd 1', 'zstd 5'])
  })

  test.each([
    [['--codecs', 'brotli']],
    [['--payloads', '']],
    [['--workers', '-1']],
    [['--batches', 'many']],
    [['--unknown']],
    [['extra']],
  ])('%j is refused', (argv) => {
    expect(() => readCompressionLine(argv)).toThrow(UsageError)
  })
})

describe('a tiny run', () => {
  let result: CompressionResult

  beforeAll(async () => {
    result = await runCompression({
      settings: {
        ...defaultSettings,
        codecs: ['none', 'lz4'],
        batches: [16_384],
        payloads: ['json'],
        workers: [0, 1],
        clients: ['pagelog'],
        throughputBatches: [16_384],
        speedSeconds: 0.002,
        seconds: 0.05,
        warmUpSeconds: 0,
        partitions: 2,
        payloadBytes: 200_000,
      },
      command: 'test',
      dataDirectory: directory,
      progress: new Progress(1, { quiet: true }),
    })
  }, 60_000)

  test('is complete, and as the schema says', () => {
    expect(result.failures).toEqual([])
    validate(result)
    expect(validate.errors).toBeNull()
    expect(result.complete).toBe(true)
    expect(result.speeds.map(({ codec }) => codec)).toEqual(['none', 'lz4'])
    expect(result.throughput.map(({ codec, workers }) => [codec, workers])).toEqual([
      ['none', 0],
      ['lz4', 0],
      ['lz4', 1],
    ])
    for (const { recordsPerSecond } of result.throughput) expect(recordsPerSecond).toBeGreaterThan(0)
  })

  test('another shape is none of the schema', () => {
    expect(validate({ ...result, speeds: [{ codec: 'lz4' }] })).toBe(false)
    expect(validate({ ...result, kind: 'other' })).toBe(false)
  })

  test('has a table and a page with its charts', async () => {
    expect(formatCompression(result)).toMatch(/pagelog, 1 workers/)
    const page = await renderCompressionReport(result)
    expect(page.match(/<svg/g)!.length).toBeGreaterThanOrEqual(4)
    expect(page).not.toMatch(/<script/)
  })
})

test('an abort before anything leaves an incomplete result', async () => {
  const result = await runCompression({
    settings: { ...defaultSettings, codecs: ['lz4'], clients: ['pagelog'], payloadBytes: 100_000 },
    command: 'test',
    dataDirectory: directory,
    signal: AbortSignal.abort(new Error('stop')),
    progress: new Progress(1, { quiet: true }),
  }).catch((error: unknown) => error)
  expect(result).toMatchObject({ message: 'stop' })
})
