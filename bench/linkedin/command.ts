/** `pagelog bench linkedin-2014`. Exit status: 0 all measured, 1 incomplete, 2 a wrong command line. */
import { resolve } from 'node:path'
import { variantsOf } from '../bench.ts'
import { STORED_BYTES } from '../drivers/growing.ts'
import { formatSeconds, Progress } from '../measure/progress.ts'
import { driving, growing, parseOptions, UsageError } from '../options.ts'
import { abortOnSignals } from '../process/signals.ts'
import { latencyLogs } from '../report/latency-logs.ts'
import { writeResultFiles } from '../report/result-files.ts'
import { published } from './published.ts'
import type { LinkedinResult } from './result.ts'
import { runLinkedin, stepsOf } from './run.ts'
import { formatLinkedin, linkedinCsv, linkedinRows, renderLinkedin } from './table.ts'

const USAGE = `pagelog bench linkedin-2014 [options]

The ten tests that LinkedIn published in 2014, with its settings of then and with today's, beside its figures.

  --tests A,B        of ${published.map(({ id }) => id).join(', ')}  (all)
  --quick            one short run of each, three minutes at most: for orientation
  --full             as many records as in 2014, 50 million a run
  --against kafka    Apache Kafka in the same run (needs Java, Maven)
  --clients A,B      who drives: pagelog, kafka-tools, kafkajs, platformatic, node-rdkafka; on each broker
  --hosts FILE       brokers that are there already, host:port a line; instead of ours
  --netns RATE       brokers and clients in network namespaces with links of 1gbit, 100mbit, … (root only)
  --stored SIZE      what throughput-vs-stored adds on the disks of all three brokers  (4GiB; 1GiB quick, 40GiB full)
  --memory SIZE      confines each broker to so much, page cache included (root, cgroups version 1)
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
    const mode = values.quick === true ? 'quick' : values.full === true ? 'full' : 'normal'
    const tests = testsIn(values.tests)
    const drivers = driving(values)
    const variants = variantsOf({ ...drivers, settings: { against: values.against ?? null } }).length
    const runs = stepsOf(tests, mode).reduce((sum, step) => sum + step.tests.length, 0)
    const result = await runLinkedin({
      ...{ tests, mode, against: values.against ?? null, signal: signals.signal },
      command: ['pagelog bench linkedin-2014', ...argv].join(' '),
      progress: new Progress(runs * (mode === 'quick' ? 1 : 3) * variants),
      ...sizesIn(values),
      driving: drivers,
      ...(values['data-dir'] === undefined ? {} : { dataDirectory: resolve(values['data-dir']) }),
    })
    const output = values.json === '-' ? process.stderr : process.stdout
    output.write(`\n${formatLinkedin(result)}\n\n`)
    const files = {
      result,
      html: await renderLinkedin(result),
      csv: linkedinCsv(result),
      markdown: linkedinRows(result),
      more: Object.assign({}, ...result.results.map((one, i) => latencyLogs(one, `${columnOf(result, i)}-`))),
    }
    for (const line of writeResultFiles({ out: values.out, json: values.json }, files)) output.write(`${line}\n`)
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

/** What was not asked for is as the mode has it. */
function sizesIn(values: { stored?: string | undefined; memory?: string | undefined }) {
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
  const options = { ...asked, stored: text, memory: text, ...places } as const
  return parseOptions({ args: [...argv], allowPositionals: false, options }).values
}
