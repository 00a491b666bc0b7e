/** Kafka's command line tools, in small JVMs that start fast. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { javaCommand, runKafkaTool } from '../../bench/peers/java.ts'
import { Child } from '../../bench/process/children.ts'
import type { PlainRecord } from './records.ts'

const SHORT_LIVED = ['-XX:-UseG1GC', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xmx256M']

/** Runs the tool to its end; its standard output. */
export function tool(className: string, args: readonly string[], input?: string): Promise<string> {
  return runKafkaTool(className, args, { jvmFlags: SHORT_LIVED, ...(input === undefined ? {} : { input }) })
}

/** What DumpLogSegments prints about the files; what it has to complain of it prints on standard error. */
export async function dumpLogSegments(
  files: readonly string[],
  ...options: string[]
): Promise<{ readonly lines: readonly string[]; readonly complaints: string }> {
  const args = [...options, '--files', files.join(',')]
  const java = await javaCommand({ className: 'kafka.tools.DumpLogSegments', args, jvmFlags: SHORT_LIVED })
  const { stdout, stderr } = await promisify(execFile)(java.command, java.args, { maxBuffer: 1 << 28 })
  return { lines: stdout.trimEnd().split('\n'), complaints: stderr }
}

export function topicCommand(bootstrap: string, ...args: string[]): Promise<string> {
  return tool('org.apache.kafka.tools.TopicCommand', ['--bootstrap-server', bootstrap, ...args])
}

/** Writes lines with the console producer. */
export async function consoleProduce(
  bootstrap: string,
  topic: string,
  input: string,
  options: {
    readonly properties?: readonly string[]
    readonly producer?: readonly string[]
    readonly codec?: string
  } = {},
): Promise<void> {
  const { properties = [], producer = [], codec } = options
  const reader = properties.flatMap((property) => ['--property', property])
  const settings = producer.flatMap((property) => ['--producer-property', property])
  // The tool's own option: it overrides the producer's compression.type.
  const compression = codec === undefined ? [] : ['--compression-codec', codec]
  const args = ['--bootstrap-server', bootstrap, '--topic', topic, ...reader, ...settings, ...compression]
  await tool('org.apache.kafka.tools.ConsoleProducer', args, input)
}

/** Text that stands for null and for a tab's place in what the console tools read and write. */
const NULL = '<null>'
const TAB = '<tab>'

export const nullMarker: string = NULL

/** Reads `count` records of a partition with the console consumer, from `offset` (`earliest`, `latest` or a number). */
export async function consoleConsume(
  bootstrap: string,
  topic: string,
  from: { readonly partition: number; readonly offset: string; readonly count: number },
): Promise<PlainRecord[]> {
  const { partition, offset, count } = from
  const shown = ['timestamp', 'partition', 'offset', 'headers', 'key', 'value'].map((name) => `print.${name}=true`)
  const format = [...shown, `null.literal=${NULL}`, `key.separator=${TAB}`, 'headers.separator=,']
  const output = await tool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', bootstrap, '--topic', topic, '--partition', String(partition), '--offset', offset],
    ...['--max-messages', String(count), '--timeout-ms', '20000'],
    ...format.flatMap((property) => ['--property', property]),
  ])
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map(parseConsumedLine)
}

/** A console consumer of partition 0 that reads from the first record on until it is ended; told of each value. */
export async function consoleReader(
  bootstrap: string,
  topic: string,
  onValue: (value: string) => void,
): Promise<Child> {
  const args = ['--bootstrap-server', bootstrap, '--topic', topic, '--partition', '0', '--offset', 'earliest']
  const className = 'org.apache.kafka.tools.consumer.ConsoleConsumer'
  const java = await javaCommand({ className, args, jvmFlags: SHORT_LIVED })
  return new Child('ConsoleConsumer', { ...java, onLine: onValue })
}

/** `CreateTime:1795264291642<tab>Partition:2<tab>Offset:0<tab>h1:v1,h2:v2<tab>key<tab>value` */
function parseConsumedLine(line: string): PlainRecord {
  const fields = line.split(TAB)
  const [timestamp, partition, offset] = ['CreateTime:', 'Partition:', 'Offset:'].map((prefix, i) => {
    const field = fields[i] ?? ''
    if (!field.startsWith(prefix)) throw new Error(`not what the console consumer prints: ${line}`)
    return Number(field.slice(prefix.length))
  }) as [number, number, number]
  const [headers, key, value] = fields.slice(3) as [string, string, string]
  return { partition, offset, timestamp, key: orNull(key), value: orNull(value), headers: parseHeaders(headers) }
}

function parseHeaders(field: string): [string, string | null][] {
  if (field === 'NO_HEADERS') return []
  return field.split(',').map((pair) => {
    const colon = pair.indexOf(':')
    return [pair.slice(0, colon), orNull(pair.slice(colon + 1))]
  })
}

function orNull(field: string): string | null {
  return field === NULL ? null : field
}
