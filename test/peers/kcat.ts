/** kcat (librdkafka) as a process. */
import { Child, runToEnd } from '../../bench/process/children.ts'
import type { PlainRecord } from './records.ts'

/** Runs kcat to its end; its standard output. */
export function kcat(bootstrap: string, args: readonly string[], input?: string): Promise<string> {
  const stdin = input === undefined ? {} : { input }
  // A batch that would not get smaller librdkafka sends as it is, one of the first record alone for example: it waits for more.
  const gathering = args.includes('-z') ? ['-X', 'linger.ms=500'] : []
  return runToEnd('kcat', { command: 'kcat', args: ['-b', bootstrap, ...gathering, ...args], ...stdin })
}

/** kcat that goes on until it is ended; `onRecord` hears of every record. */
export function kcatReader(bootstrap: string, args: readonly string[], onRecord: (record: PlainRecord) => void): Child {
  return new Child('kcat', {
    command: 'kcat',
    args: ['-b', bootstrap, '-C', '-u', '-J', ...args],
    onLine: (line) => onRecord(parseRecord(line)),
  })
}

/** What kcat reads of one partition, or of the whole topic, up to its end. */
export async function kcatRead(
  bootstrap: string,
  topic: string,
  options: { readonly partition?: number; readonly from?: string; readonly args?: readonly string[] } = {},
): Promise<PlainRecord[]> {
  const { partition, from = 'beginning', args = [] } = options
  const where = partition === undefined ? [] : ['-p', String(partition)]
  const output = await kcat(bootstrap, ['-C', '-t', topic, ...where, '-o', from, '-e', '-q', '-J', ...args])
  const records = output
    .split('\n')
    .filter((line) => line !== '')
    .map(parseRecord)
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}

interface KcatJson {
  readonly partition: number
  readonly offset: number
  readonly ts: number
  readonly headers?: readonly (string | null)[]
  readonly key: string | null
  readonly payload: string | null
}

/** A line of `-J`: headers are one flat list of keys and values. */
function parseRecord(line: string): PlainRecord {
  const { partition, offset, ts, headers = [], key, payload } = JSON.parse(line) as KcatJson
  const pairs: [string, string | null][] = []
  for (let i = 0; i < headers.length; i += 2) pairs.push([headers[i]!, headers[i + 1]!])
  return { partition, offset, timestamp: ts, key, value: payload, headers: pairs }
}
