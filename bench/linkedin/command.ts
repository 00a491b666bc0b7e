/** `pagelog bench linkedin-2014`. Exit status: 0 all measured, 1 incomplete, 2 a wrong command line. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { variantsOf } from '../bench.ts'
import { readResult } from '../compare/command.ts'
import { STORED_BYTES } from '../drivers/growing.ts'
import { formatSeconds, Progress } from '../measure/progress.ts'
import { driving, growing, number, parseOptions, UsageError } from '../options.ts'
import { abortOnSignals } from '../process/signals.ts'
import { latencyLogs } from '../report/latency-logs.ts'
import { resultFolder, writeResultFiles } from '../report/result-files.ts'
import { reachHosts } from '../targets/hosts.ts'
import { type Column, columns, published } from './published.ts'
import type { LinkedinResult } from './result.ts'
import { mergeLinkedin, runLinkedin, stepsOf } from './run.ts'
import { formatLinkedin, linkedinCsv, linkedinDrawings, linkedinNotes, linkedinRows, renderLinkedin } from './table.ts'

const USAGE = `pagelog bench linkedin-2014 [options]

The ten tests that LinkedIn published in 2014, with its settings of then and with today's, beside its figures.

  --tests A,B        of ${published.map(({ id }) => id).join(', ')}  (all)
  --quick            one short run of each, three minutes at most: for orientation
  --full             as many records as in 2014, 50 million a run
  --columns 2014     the settings of then only, or today's   (2014,today)
  --runs N           of each test   (1 quick, else 3)
  --against kafka    Apache Kafka in the same run (needs Java, Maven)
  --kafka-version V  another version of it than the one that is pinned
  --clients A,B      who drives: pagelog, kafka-tools, kafkajs, platformatic, node-rdkafka, librdkafka; on each broker
  --hosts FILE       brokers that are there already, host:port a line; instead of ours
  --netns RATE       brokers and clients in network namespaces with links of 1gbit, 100mbit, … (root only)
  --stored SIZE      what throughput-vs-stored adds on the disks of all three brokers  (4GiB; 1GiB quick, 40GiB full)
  --memory SIZE      confines each broker to so much, page cache included (root, cgroups)
  --merge A,B        measures nothing: the results of A.json and B.json, of other tests or columns each, as one
  --data-dir D       where brokers keep their data while it runs     (system's temp)
  --out DIR          folder for the results   (tmp/bench/<time>)
  --json FILE        the JSON here instead; - for standard output
`

export async function linkedinCommand(argv: readonly string[]): Promise<number> {
  const signals = abortOnSignals()
  const startedMs = performance.now()
  try {
    const values = parsed(argv)
    if (values.help === true) {
      process.stdout.write(USAGE)
      return 0
    }
    if (values.quick === true && values.full === true) throw new UsageError('--quick or --full, not both')
    if (values.against !== undefined && values.against !== 'kafka')
      throw new UsageError(`--against ${values.against}: kafka`)
    const command = ['pagelog bench linkedin-2014', ...argv].join(' ')
    if (values.merge !== undefined) {
      const result = mergeLinkedin(values.merge.split(',').map(readPiece), command)
      await write(result, values)
      return result.complete ? 0 : 1
    }
    const mode = values.quick === true ? 'quick' : values.full === true ? 'full' : 'normal'
    const tests = testsIn(values.tests)
    const drivers = driving(values)
    const variants = variantsOf({ ...drivers, against: values.against ?? null }).length
    const asked = columnsIn(values.columns)
    const runs = values.runs === undefined ? undefined : number(values.runs, '--runs', 3, 1, 100)
    const each = runs ?? (mode === 'quick' ? 1 : 3)
    const steps = stepsOf(tests, mode, asked).length
    const folder = resultFolder(values.out, new Date().toISOString())
    if (drivers.hosts !== undefined) await reachHosts(drivers.hosts, signals.signal)
    const result = await runLinkedin({
      ...{ tests, mode, against: values.against ?? null, signal: signals.signal },
      ...{ command, columns: asked, ...(runs === undefined ? {} : { runs }) },
      progress: new Progress(steps * each * variants),
      onStep: (part) => keepPart(folder, part),
      ...sizesIn(values),
      driving: drivers,
      ...(values['data-dir'] === undefined ? {} : { dataDirectory: resolve(values['data-dir']) }),
    })
    const output = await write(result, { ...values, out: folder })
    rmSync(join(folder, PART), { force: true })
    output.write(`${formatSeconds((performance.now() - startedMs) / 1000)} in all\n`)
    return result.complete ? 0 : 1
  } catch (error) {
    const isUsage = error instanceof UsageError
    process.stderr.write(`\npagelog bench linkedin-2014: ${(error as Error).message}\n${isUsage ? `\n${USAGE}` : ''}`)
    return isUsage ? 2 : 1
  } finally {
    signals.close()
  }
}

/** A run of hours that is killed has what it had measured until then. */
const PART = 'result.partial.json'

function keepPart(folder: string, part: LinkedinResult): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, PART), JSON.stringify(part))
}

/** Throws UsageError. */
function readPiece(path: string): LinkedinResult {
  const result = readResult(path.trim())
  if ('kind' in result && result.kind === 'linkedin-2014') return result
  throw new UsageError(`--merge ${path}: no result of linkedin-2014`)
}

interface Places {
  readonly out?: string | undefined
  readonly json?: string | undefined
}

/** All files; where people read. */
async function write(result: LinkedinResult, { out, json }: Places): Promise<NodeJS.WriteStream> {
  const output = json === '-' ? process.stderr : process.stdout
  output.write(`\n${formatLinkedin(result)}\n\n`)
  const files = {
    result,
    html: await renderLinkedin(result),
    csv: linkedinCsv(result),
    markdown: linkedinRows(result),
    notes: linkedinNotes(result),
    more: Object.assign(
      await linkedinDrawings(result),
      ...result.results.map((one, i) => latencyLogs(one, `${columnOf(result, i)}-`)),
    ),
  }
  for (const line of writeResultFiles({ out, json }, files)) output.write(`${line}\n`)
  return output
}

/** Throws UsageError. */
function columnsIn(text: string | undefined): Column['name'][] {
  const all = columns.map(({ name }) => name)
  const asked = text === undefined ? all : text.split(',').map((one) => one.trim())
  const unknown = asked.find((one) => !(all as readonly string[]).includes(one))
  if (unknown !== undefined) throw new UsageError(`--columns ${unknown}: of ${all.join(', ')}`)
  return all.filter((one) => asked.includes(one))
}

/** What was not asked for is as the mode has it. */
function sizesIn(values: { stored?: string | undefined; memory?: string | undefined; against?: string | undefined }) {
  const { storedBytes, ...memory } = growing(values, STORED_BYTES)
  return values.stored === undefined || storedBytes === undefined ? memory : { storedBytes, ...memory }
}

/** Number and settings: no two results have the same. */
function columnOf({ results }: LinkedinResult, index: number): string {
  const { settings } = results[index]!
  return `${index + 1}-${settings.batchBytes}-${settings.valueBytes}`
}

function testsIn(text: string | undefined): string[] {
  const all = published.map(({ id }) => id)
  if (text === undefined) return all
  const asked = text.split(',').map((one) => one.trim())
  const unknown = asked.find((one) => !all.includes(one))
  if (unknown !== undefined) throw new UsageError(`--tests ${unknown}: one of ${all.join(', ')}`)
  return all.filter((one) => asked.includes(one))
}

function parsed(argv: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const places = { 'data-dir': text, out: text, json: text, netns: text, help: { ...flag, short: 'h' } } as const
  const asked = { tests: text, quick: flag, full: flag, against: text, clients: text, hosts: text } as const
  const pieces = { columns: text, runs: text, merge: text, 'kafka-version': text } as const
  const options = { ...asked, ...pieces, stored: text, memory: text, ...places } as const
  return parseOptions({ args: [...argv], allowPositionals: false, options }).values
}
