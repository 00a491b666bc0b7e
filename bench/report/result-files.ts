/** A folder of result files: JSON, report, CSV, Markdown, HDR logs; the JSON also where it is asked for. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { toJson } from './json.ts'
import { type Cell, toCsv, toMarkdown } from './text-files.ts'

export interface ResultFiles {
  readonly result: { readonly startedAt: string }
  readonly html: string
  readonly csv: readonly (readonly Cell[])[]
  readonly markdown: readonly (readonly Cell[])[]
  /** Lines below the Markdown table. */
  readonly notes?: readonly string[]
  /** Name and text of further files. */
  readonly more?: Readonly<Record<string, string>>
}

export function resultFolder(out: string | undefined, startedAt: string): string {
  return resolve(out ?? join('tmp/bench', startedAt.slice(0, 19).replaceAll(/[:T]/g, '-')))
}

/** Returns the lines that say what was written where. */
export function writeResultFiles(
  places: { readonly out: string | undefined; readonly json: string | undefined },
  files: ResultFiles,
): string[] {
  const folder = resultFolder(places.out, files.result.startedAt)
  const json = toJson(files.result)
  if (places.json === '-') process.stdout.write(json)
  const written = [
    ...(places.json === '-' ? [] : [['result', resolve(places.json ?? join(folder, 'result.json')), json]]),
    ['report', join(folder, 'report.html'), files.html],
    ['table', join(folder, 'result.csv'), toCsv(files.csv)],
    ['table', join(folder, 'result.md'), `${toMarkdown(files.markdown)}${notesText(files.notes)}`],
    ...Object.entries(files.more ?? {}).map(([name, text]) => [
      name.endsWith('.svg') ? 'chart' : 'log',
      join(folder, name),
      text,
    ]),
  ] as [string, string, string][]
  return written.map(([what, path, text]) => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    return `${what.padEnd(7)} ${path}`
  })
}

function notesText(notes: readonly string[] = []): string {
  return notes.length === 0 ? '' : `\n${notes.map((note) => `- ${note}\n`).join('')}`
}

/** The two tables and logs alone, beside a result and a report that are written elsewhere. */
export function writeTables(
  folder: string,
  csv: readonly (readonly Cell[])[],
  markdown: readonly (readonly Cell[])[],
  logs: Readonly<Record<string, string>> = {},
  notes: readonly string[] = [],
): string[] {
  mkdirSync(folder, { recursive: true })
  return [
    ['table', 'result.csv', toCsv(csv)],
    ['table', 'result.md', `${toMarkdown(markdown, 2)}${notesText(notes)}`],
    ...Object.entries(logs).map(([name, text]) => ['log', name, text]),
  ].map(([what, name, text]) => {
    const path = join(resolve(folder), name!)
    writeFileSync(path, text!)
    return `${what!.padEnd(7)} ${path}`
  })
}
