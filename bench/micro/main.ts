/** The program of subject-process.ts. */
import { micros } from './catalog.ts'
import type { SubjectRun } from './subject-process.ts'

const { micro, subject, scale, directory, peers } = JSON.parse(process.argv[2] ?? '{}') as SubjectRun
const run = micros.find(({ name }) => name === micro)?.subjects[subject]
if (run === undefined) throw new Error(`no benchmark ${micro} of ${subject}`)
const outcome = await run({ directory, scale, peers: peers ?? undefined })
process.stdout.write(`${JSON.stringify(outcome)}\n`)
