/** `pagelog goals AREA [PART ...]`: measures now, prints a line each, exit status 1 when any is short. Never reads results/. */
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Progress } from '../measure/progress.ts'
import { endAllChildren } from '../process/children.ts'
import { makeScratch } from '../process/scratch.ts'
import { abortOnSignals } from '../process/signals.ts'
import { areas } from './areas.ts'
import { formatLine, type GoalArea, type GoalLine, type GoalPart } from './goal.ts'

const USAGE = `pagelog goals AREA [PART ...] [--runs N] [--data-dir D]

Prints PASS or SHORT, id, what was measured, the goal, and how; exit status 1 when any is short.

${areas.map(({ name, parts }) => `  ${name}\n${parts.map((part) => `    ${part.name.padEnd(17)}${part.title}`).join('\n')}`).join('\n')}
`

export async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '3' },
      'data-dir': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  const [areaName, ...partNames] = positionals
  if (values.help === true || areaName === undefined) {
    process.stdout.write(USAGE)
    return values.help === true ? 0 : 2
  }
  const area = areas.find(({ name }) => name === areaName)
  const parts = area === undefined ? undefined : chosen(area, partNames)
  const runs = Number(values.runs)
  if (parts === undefined || !Number.isInteger(runs) || runs < 1) {
    process.stderr.write(`pagelog goals: unknown ${[areaName, ...partNames].join(' ')}\n\n${USAGE}`)
    return 2
  }
  return measure(parts, runs, resolve(values['data-dir'] ?? tmpdir()))
}

function chosen(area: GoalArea, names: readonly string[]): readonly GoalPart[] | undefined {
  if (names.length === 0) return area.parts
  const parts = names.map((wanted) => area.parts.find(({ name }) => name === wanted))
  return parts.every((part) => part !== undefined) ? (parts as GoalPart[]) : undefined
}

async function measure(parts: readonly GoalPart[], runs: number, dataDirectory: string): Promise<number> {
  const signals = abortOnSignals()
  const scratch = makeScratch(dataDirectory)
  let short = 0
  const report = (line: GoalLine) => {
    if (!line.pass) short++
    process.stdout.write(`${formatLine(line)}\n`)
  }
  try {
    for (const part of parts) {
      const progress = new Progress(runs)
      try {
        await part.run({ scratch, signal: signals.signal, progress, runs, report })
      } catch (error) {
        const how = signals.signal.aborted ? 'interrupted' : error instanceof Error ? error.message : String(error)
        report({ id: part.name, pass: false, measured: 'nothing', goal: part.title, how })
      }
      if (signals.signal.aborted) break
    }
    return short === 0 ? 0 : 1
  } finally {
    await endAllChildren()
    scratch.remove()
    signals.close()
  }
}
