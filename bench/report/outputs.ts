/** Where a result goes: JSON and report, each to the place asked for or into a folder of its own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { toJson } from './json.ts'

export interface OutputPlaces {
  readonly out: string | undefined
  /** `-`: standard output. */
  readonly json: string | undefined
  readonly html: string | undefined
}

/** Returns the lines that say what was written where. */
export function writeOutputs(places: OutputPlaces, result: { readonly startedAt: string }, report: string): string[] {
  const stamp = result.startedAt.slice(0, 19).replaceAll(/[:T]/g, '-')
  const folder = resolve(places.out ?? join('tmp/bench', stamp))
  const text = toJson(result)
  const lines: string[] = []
  if (places.json === '-') process.stdout.write(text)
  else lines.push(`result  ${write(resolve(places.json ?? join(folder, 'result.json')), text)}`)
  lines.push(`report  ${write(resolve(places.html ?? join(folder, 'report.html')), report)}`)
  return lines
}

function write(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}
