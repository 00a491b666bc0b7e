import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import { renderReport } from '../../bench/report/html.ts'
import { formatTable } from '../../bench/report/table.ts'
import { type BenchResult, SCHEMA_VERSION } from '../../bench/result.ts'
import { result } from './sample-result.ts'

const schema = JSON.parse(readFileSync(new URL('../../bench/result.schema.json', import.meta.url), 'utf8')) as object
const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema)

// Charts take a while to load, on a busy machine longer than a test may.
beforeAll(() => import('../../bench/report/charts.ts'), 120_000)

describe('schema of results', () => {
  test('a result with every kind of field is valid', () => {
    validate(JSON.parse(JSON.stringify(result)))
    expect(validate.errors).toBeNull()
  })

  test.each([
    ['another version', { schemaVersion: SCHEMA_VERSION + 1 }],
    ['a missing part', { limits: undefined }],
    ['an unknown field', { surprise: 1 }],
    ['a rate that is text', { results: [{ ...result.results[0]!, recordsPerSecond: 'fast' }] }],
    ['an unknown test', { results: [{ ...result.results[0]!, test: 'other' }] }],
  ])('%s is not', (_, change) => {
    expect(validate(JSON.parse(JSON.stringify({ ...result, ...change })))).toBe(false)
  })
})

describe('report', () => {
  test('is one page without scripts or anything fetched, with charts for light and dark', async () => {
    const html = await renderReport(result)
    expect(html).not.toMatch(/<script|<link|<img|@import|src=|url\((?!#)/i)
    // Throughput, share, and per test rates over time and latencies, each drawn for light and dark, wide and narrow.
    expect(html.match(/<svg /g)).toHaveLength(24)
    expect(html).toContain('prefers-color-scheme: dark')
    expect(html).toContain('5.0 times Apache Kafka')
    expect(html).not.toContain('NaN')
    expect(html).not.toContain('undefined')
  })

  test('text of others is escaped, and failures are shown', async () => {
    const html = await renderReport(result)
    expect(html).toContain('a &lt;processor&gt;')
    expect(html).toContain('broker &lt;gone&gt;')
    expect(html).not.toContain('<processor>')
  })

  test('a result in which nothing succeeded is still a page', async () => {
    const nothing: BenchResult = { ...result, results: [], limits: [], ratios: [] }
    expect(await renderReport(nothing)).toContain('Nothing could be measured')
  })

  test('the table has a row for each variant and limit, and says what failed', () => {
    const text = formatTable(result)
    expect(text).toMatch(/single-producer +pagelog +5\.50 M rec\/s +5\.00 M – 6\.00 M +524\.5 +57 % +5\.00 ×/)
    expect(text).toMatch(/limit: produce probe +10\.0 M rec\/s/)
    expect(text).toMatch(/end-to-end-1x +pagelog .*p50 0\.25 ×, p99 0\.25 ×/)
    expect(text).toContain('FAILED single-producer · pagelog: broker <gone>')
    expect(text).toContain('INCOMPLETE')
  })
})
