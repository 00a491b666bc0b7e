/** A result of the tests as rows: every row as long as its head, what failed and what is missing included. */
import { expect, test } from 'vitest'
import { benchMarkdown, benchRows } from '../../bench/report/rows.ts'
import { toCsv, toMarkdown } from '../../bench/report/text-files.ts'
import { result } from './sample-result.ts'

test('CSV and Markdown of the tests', () => {
  for (const rows of [benchRows(result), benchMarkdown(result)]) {
    expect(new Set(rows.map((row) => row.length)).size).toBe(1)
    expect(rows.length).toBeGreaterThan(result.results.length)
  }
  expect(toCsv(benchRows(result))).toContain('single-producer,pagelog,')
  expect(toCsv(benchRows(result))).not.toMatch(/undefined|NaN/)
  expect(toMarkdown(benchMarkdown(result), 2)).toMatch(/^\| test \| broker and client \|/)
})
