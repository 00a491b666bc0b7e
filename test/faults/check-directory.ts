/**
 * Opens a log directory after whatever has befallen it and holds it against what was told about it. The answer is a list
 * of what is wrong, so that a test can also demand that something is.
 */
import { defaultsOf } from '../../src/base/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { BatchWriter, type Log, LogDirectory, logSettings } from '../../src/log/index.ts'
import type { History, LogHistory } from './history.ts'

/** Those of the workload. */
export const faultSettings = { ...defaultsOf(logSettings), segmentBytes: 4096, indexIntervalBytes: 512 }

export interface CheckOptions {
  /** The machine lost power: only what was durable has to be there. */
  readonly powerLost?: boolean
}

/** What is wrong with the directory at `path`; afterwards it has been appended to and closed. */
export async function checkDirectory(path: string, history: History, options: CheckOptions = {}): Promise<string[]> {
  const faults: string[] = []
  const ends = new Map<string, number>()
  await withDirectory(path, faults, async (directory) => {
    for (const { topic } of directory.partitions()) {
      if (!history.logs.has(topic)) faults.push(`${topic} was never made`)
    }
    for (const [name, told] of history.logs) {
      const log = directory.get(name, 0)
      if (log === undefined) {
        if (told.exists) faults.push(`${name} is gone`)
        continue
      }
      if (told.exists === false) faults.push(`${name} was removed and is there`)
      faults.push(...(await checkLog(log, told, options)).map((fault) => `${name}: ${fault}`))
      ends.set(name, await appendMore(log, told, faults))
    }
  })
  if (faults.length > 0) return faults
  await withDirectory(path, faults, async (directory) => {
    if (!directory.wasClean) faults.push('a clean end was not seen as one')
    for (const [name, end] of ends) {
      const found = directory.get(name, 0)?.logEndOffset
      if (found !== end) faults.push(`${name} ends at ${found} and not at ${end} after a clean end`)
    }
  })
  return faults
}

async function withDirectory(
  path: string,
  faults: string[],
  use: (directory: LogDirectory) => Promise<void>,
): Promise<void> {
  try {
    const directory = await LogDirectory.open({ env: nodeEnv(), path, defaults: faultSettings })
    try {
      for (const [name, error] of directory.damaged) faults.push(`${name} does not open: ${error.message}`)
      await use(directory)
    } finally {
      await directory.close()
    }
  } catch (error) {
    faults.push(`cannot be used: ${(error as Error).stack}`)
  }
}

/** The rules: nothing answered is missing or changed, nothing is there that was not sent, nothing is there twice. */
async function checkLog(log: Log, told: LogHistory, { powerLost = false }: CheckOptions): Promise<string[]> {
  const faults: string[] = []
  const { logStartOffset, logEndOffset } = log
  if (logStartOffset < told.startAtLeast || logStartOffset > told.startAtMost) {
    faults.push(`begins at ${logStartOffset}, not at ${told.startAtLeast} to ${told.startAtMost}`)
  }
  const end = told.end(powerLost)
  const isCompacted = told.keys.size > 0
  if (logEndOffset < end) faults.push(`ends at ${logEndOffset}, but was answered up to ${end}`)
  const seen = new Set<string>()
  let next = logStartOffset
  for await (const { offset, name } of recordsOf(log)) {
    if (isCompacted ? offset < next : offset !== next) faults.push(`has offset ${offset} where ${next} was to come`)
    next = offset + 1
    if (seen.has(name)) faults.push(`has ${name} twice, again at ${offset}`)
    seen.add(name)
    const answered = told.answered.get(offset)
    if (answered !== undefined && answered.name === name) continue
    if (answered !== undefined && !answered.mayBeCut && (answered.isDurable || !powerLost)) {
      faults.push(`has ${name} at ${offset}, where ${answered.name} was answered`)
    }
    const [id, at] = name.split('.').map(Number)
    const sent = told.sent.get(id!)
    if (sent === undefined || sent.isVoid || at! >= sent.count) faults.push(`has ${name} at ${offset}, never sent`)
  }
  if (isCompacted) return [...faults, ...checkKeys(told, seen, powerLost)]
  if (next !== logEndOffset) faults.push(`reads up to ${next}, but claims to end at ${logEndOffset}`)
  return faults
}

/** The newest record of every key is there, or a newer one. Of one that was deleted nothing older is, tombstone or not. */
function checkKeys(told: LogHistory, seen: ReadonlySet<string>, powerLost: boolean): string[] {
  const newest = new Map<string, { offset: number; name: string; isTombstone: boolean }>()
  const rising = [...told.answered].sort(([a], [b]) => a - b)
  for (const [offset, { name, isDurable }] of rising) {
    const [, key, tombstone] = /^(key \d)( -)?$/.exec(told.keys.get(name)!)!
    if (isDurable || !powerLost) newest.set(key!, { offset, name, isTombstone: tombstone !== undefined })
  }
  const faults: string[] = []
  for (const [key, { offset, name, isTombstone }] of newest) {
    const others = [...seen].filter((one) => told.keys.get(one)?.startsWith(key) && one !== name)
    // What was never answered has no offset known here, and comes behind all that was.
    const isOlder = (one: string): boolean => rising.some(([at, other]) => other.name === one && at < offset)
    const hasNewer = others.some((one) => !isOlder(one))
    if (!seen.has(name) && !hasNewer && !isTombstone) faults.push(`lost ${name}, the newest of ${key}`)
    if (!seen.has(name) && others.some(isOlder)) faults.push(`has an older record of ${key} and not ${name}`)
  }
  return faults
}

/** `<id>.<at>` of every record. Every batch has its CRC. */
async function* recordsOf(log: Log): AsyncGenerator<{ offset: number; name: string }> {
  const decoder = new TextDecoder()
  for await (const { offset, value, headers } of log.records()) {
    const bytes = headers.find(({ key }) => key === 'name')?.value ?? value
    yield { offset, name: decoder.decode(bytes ?? undefined).split(' ')[0]! }
  }
}

/** The log goes on: the end it has then. A producer that was there is known by its sequences. */
async function appendMore(log: Log, told: LogHistory, faults: string[]): Promise<number> {
  const hasProducer = [...told.sent.values()].some((sent) => sent.hasProducer)
  const producer = (baseSequence: number) => (hasProducer ? { producerId: 77, producerEpoch: 0, baseSequence } : {})
  if (hasProducer && log.logEndOffset > log.logStartOffset) {
    let last = 0
    let name = ''
    for await (const record of recordsOf(log)) {
      if (record.name.endsWith('.0')) last = record.offset
      name = record.name
    }
    const count = log.logEndOffset - last
    const again = await log.appendBatch(batchOf(name, count, producer(last)), log.leaderEpoch)
    if (!again.duplicate || again.baseOffset !== last) faults.push(`does not know ${name} at ${last} as a duplicate`)
  }
  const { logEndOffset } = log
  const after = batchOf('after.0', 1, producer(logEndOffset), told.keys.size > 0 ? 'after' : undefined)
  const added = await log.appendBatch(after, log.leaderEpoch)
  if (added.baseOffset !== logEndOffset) faults.push(`appends at ${added.baseOffset} and not at ${logEndOffset}`)
  await log.flush()
  return added.lastOffset + 1
}

function batchOf(value: string, count: number, producer: object, key?: string): Uint8Array {
  const writer = new BatchWriter(new Uint8Array(1000))
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  for (let at = 0; at < count; at++) {
    writer.append(1_700_000_000_000, key === undefined ? null : bytes(key), bytes(value))
  }
  return writer.finish({ producerId: -1, producerEpoch: -1, baseSequence: -1, ...producer }).slice()
}
