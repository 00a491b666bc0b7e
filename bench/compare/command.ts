/**
 * `pagelog bench compare before.json after.json`. Exit status: 0, 1 when a rule of --fail-if is broken or nothing could be
 * compared, 2 for a wrong command line.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { LINKEDIN_SCHEMA_VERSION } from '../linkedin/result.ts'
import { LOAD_SCHEMA_VERSION } from '../load/result.ts'
import { MATRIX_SCHEMA_VERSION } from '../matrix/result.ts'
import { formatMs, formatRate } from '../measure/progress.ts'
import { parseOptions, UsageError } from '../options.ts'
import { alignColumns } from '../report/table.ts'
import { SCHEMA_VERSION } from '../result.ts'
import { type ComparedLine, type Comparison, compare } from './compare.ts'
import type { AnyResult } from './measures.ts'
import { parseRules } from './rules.ts'

const USAGE = `pagelog bench compare BEFORE.json AFTER.json [--fail-if RULES] [--json] [--html FILE]

What changed between two results, and whether it is more than the noise that their repeated runs show.

  --fail-if RULES   p99>+10%  or  rate<-5%,p50>+20% : status 1 when a change is beyond the bound and beyond the noise
  --html FILE       also as a page with charts
  --json            the comparison as JSON on standard output instead of the table
`

export async function compareCommand(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parsed(argv)
    if (values.help === true) {
      process.stdout.write(USAGE)
      return 0
    }
    const [before, after, ...rest] = positionals
    if (before === undefined || after === undefined || rest.length > 0) throw new UsageError('two results')
    const rules = values['fail-if'] === undefined ? [] : parseRules(values['fail-if'])
    const comparison = compare(readResult(before), readResult(after), rules)
    const text = values.json === true ? JSON.stringify(comparison, null, 1) : formatComparison(comparison)
    process.stdout.write(`${text}\n`)
    if (values.html !== undefined) {
      // Charts take a while to load: only now.
      const { renderComparison } = await import('./report.ts')
      writeFileSync(values.html, renderComparison(comparison))
    }
    if (comparison.lines.length === 0) {
      process.stderr.write('pagelog bench compare: the two have nothing in common\n')
      return 1
    }
    return comparison.failed.length === 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`pagelog bench compare: ${error.message}\n\n${USAGE}`)
    return 2
  }
}

function parsed(argv: readonly string[]) {
  return parseOptions({
    args: [...argv],
    allowPositionals: true,
    options: {
      'fail-if': { type: 'string' },
      html: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
}

/** By kind, of the tests none. */
const schemaVersions: Readonly<Record<string, number>> = {
  '': SCHEMA_VERSION,
  load: LOAD_SCHEMA_VERSION,
  'find-max': LOAD_SCHEMA_VERSION,
  matrix: MATRIX_SCHEMA_VERSION,
  'linkedin-2014': LINKEDIN_SCHEMA_VERSION,
}

interface Versioned {
  readonly kind?: string
  readonly schemaVersion?: unknown
  readonly results?: readonly Versioned[]
}

/** Throws UsageError: not there, no JSON, no result, one of another version. */
export function readResult(path: string): AnyResult {
  let result: Versioned | null
  try {
    result = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`)
  }
  const version = schemaVersions[result?.kind ?? '']
  const inner = Array.isArray(result?.results) ? result.results : []
  if (version === undefined || (result?.kind === undefined && inner.length === 0)) {
    throw new UsageError(`${path}: no result of a run that can be compared`)
  }
  // A repetition of the tests of 2014 has results of tests in it.
  const isOld = result?.kind === 'linkedin-2014' && inner.some((one) => one?.schemaVersion !== SCHEMA_VERSION)
  if (result?.schemaVersion !== version || isOld) {
    throw new UsageError(`${path}: of another version of pagelog, whose results have another shape`)
  }
  return result as AnyResult
}

/** The heads first. */
export function comparisonRows(comparison: Comparison): string[][] {
  const rows = comparison.lines.map((line) => [
    line.what,
    line.measure,
    value(line, line.before),
    value(line, line.after),
    percent(line.change),
    line.band === null ? 'not known' : `± ${(line.band * 100).toFixed(1)} %`,
    line.verdict === 'unknown' ? '?' : line.verdict,
    line.runs.join(' + '),
  ])
  return [['', '', 'before', 'after', 'change', 'noise', '', 'runs'], ...rows]
}

export function formatComparison(comparison: Comparison): string {
  return [
    ...alignColumns(comparisonRows(comparison)),
    '',
    ...comparison.notes.map((note) => `note: ${note}`),
    ...comparison.missing,
    ...(comparison.lines.some(({ band }) => band === null)
      ? ['?: noise can be told only from repeated runs (--runs 3 or more)']
      : []),
    ...comparison.failed.map(
      ({ what, measure, rule, change }) => `FAILED ${rule}: ${what}, ${measure} ${percent(change)}`,
    ),
  ].join('\n')
}

function value({ measure }: ComparedLine, number: number): string {
  return measure === 'rate' ? `${formatRate(number)} rec/s` : formatMs(number)
}

function percent(share: number): string {
  return `${share >= 0 ? '+' : '−'}${Math.abs(share * 100).toFixed(1)} %`
}
