/**
 * Child of the fault tests, from the built package: works on the logs of a directory by a fixed script and tells on
 * standard output, one JSON object a line and at once, what it is about to do and what it was answered. What it told is
 * what must be found again, however it ends (history.ts reads it).
 *
 *   node workload.mjs <directory> <script> [fault]
 *
 * The scripts are listed at the end. `fault` breaks the disk on purpose (broken-disks.mjs): checks that do not notice are
 * worth nothing. Ends with 0 when all went well, with 3 when the directory is offline, with 1 after anything else.
 */
import { appendFileSync, closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { defaultsOf } from '../../dist/src/base/index.js'
import { nodeEnv, startLoopSampler } from '../../dist/src/env/index.js'
import { LogDirectory, logSettings } from '../../dist/src/log/index.js'
import { BatchWriter } from '../../dist/src/record/index.js'
import { brokenDisk } from './broken-disks.mjs'

const [path, scriptName, fault] = process.argv.slice(2)
const env = nodeEnv()
const disk = fault === undefined ? env.disk : brokenDisk(fault, env.disk)
const encoder = new TextEncoder()
/** It never lives longer than this, whoever forgot it. */
setTimeout(() => process.exit(5), 120_000).unref()

/** Small, so that a few records make segments and index entries. */
const defaults = { ...defaultsOf(logSettings), segmentBytes: 4096, indexIntervalBytes: 512, fileDeleteDelayMs: 0 }
const settings = {
  aged: { ...defaults, retentionBytes: 8192 },
  keyed: { ...defaults, cleanupPolicy: ['compact'], deleteRetentionMs: 0 },
}
const settingsOf = (topic) => settings[topic] ?? defaults

/**
 * A machine without power tells nothing. A sync that was under way when ext4 was shut down may still answer as if it had
 * been done: the change of the file's size fails, which is not reported. Whoever can open a file after it was in time.
 */
function hasPower() {
  try {
    closeSync(openSync(join(path, 'meta.properties')))
    return true
  } catch (error) {
    return error.code !== 'EIO'
  }
}

function tell(event) {
  if (scriptName === 'endless' && !hasPower()) process.exit(4)
  writeSync(1, `${JSON.stringify(event)}\n`)
}

let isOffline = false

async function open() {
  tell({ what: 'opening' })
  const directory = await LogDirectory.open({ env: { ...env, disk }, path, defaults, settingsOf })
  directory.onOffline(() => {
    isOffline = true
    tell({ what: 'offline' })
  })
  for (const error of directory.damaged.values()) throw error
  tell({ what: 'opened' })
  return directory
}

async function close(directory, clean = true) {
  tell({ what: 'closing', clean })
  await directory.close({ clean })
  if (isOffline) throw new Error('went offline') // an unclean end does not say so
  tell({ what: 'closed', clean })
}

async function create(directory, log) {
  tell({ what: 'creating', log })
  const created = await directory.create(log, 0)
  tell({ what: 'created', log })
  return created
}

let nextId = 0
/** Base offsets of what was appended, by log: where it may be cut. */
const bases = new Map()

/** Values say which append they belong to and where in it, and differ in length. */
function batchOf(id, count, producer) {
  const writer = new BatchWriter(new Uint8Array(count * 400 + 100))
  for (let at = 0; at < count; at++) {
    const value = `${id}.${at} ${'x'.repeat((id * 37) % 200)}`
    writer.append(1_700_000_000_000 + id, null, encoder.encode(value))
  }
  return writer.finish(producer ?? { producerId: -1, producerEpoch: -1, baseSequence: -1 }).slice()
}

/** One append, told before and after; with `durable` answered only when it is on the device. */
async function append(log, name, { durable = false, producer } = {}) {
  const id = nextId++
  const count = 1 + (id % 3)
  tell({ what: 'append', log: name, id, count, ...producer })
  try {
    const { baseOffset, lastOffset } = await log.appendBatch(batchOf(id, count, producer), log.leaderEpoch)
    if (durable) await log.flush()
    tell({ what: 'appended', log: name, id, base: baseOffset, last: lastOffset, durable })
    bases.set(name, [...(bases.get(name) ?? []), baseOffset])
  } catch (error) {
    tell({ what: 'refused', log: name, id, code: error.code })
    throw error
  }
  return count
}

/** Groups of three in flight, every fourth group one that is durable. */
async function fill(log, name, groups) {
  for (let group = 0; group < groups; group++) {
    const appends = group % 4 === 3 ? [append(log, name, { durable: true })] : [0, 1, 2].map(() => append(log, name))
    await settled(appends)
  }
}

/** Waits for all of them, then throws what the first of the failed threw. */
async function settled(running) {
  const failed = (await Promise.allSettled(running)).find(({ status }) => status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** An idempotent producer: its sequences go on where the log left off. */
async function fillInSequence(log, name, appends) {
  let baseSequence = log.logEndOffset
  for (let index = 0; index < appends; index++) {
    const producer = { producerId: 77, producerEpoch: 0, baseSequence }
    baseSequence += await append(log, name, { producer, durable: index % 5 === 4 })
  }
}

/** Records with one of eight keys each, now and then a tombstone; their names are in a header. */
async function appendKeyed(log, name, durable) {
  const id = nextId++
  const count = 1 + (id % 3)
  const keys = Array.from({ length: count }, (_, at) => `key ${(id * 5 + at * 3) % 8}${id % 11 === 4 ? ' -' : ''}`)
  tell({ what: 'append', log: name, id, count, keys })
  const records = keys.map((key, at) => ({
    key: encoder.encode(key.slice(0, 5)),
    value: key.endsWith('-') ? null : encoder.encode('x'.repeat((id * 37) % 200)),
    headers: [{ key: 'name', value: encoder.encode(`${id}.${at}`) }],
  }))
  try {
    const { baseOffset, lastOffset } = await log.append(records, { durability: durable ? 'fsync' : 'os' })
    tell({ what: 'appended', log: name, id, base: baseOffset, last: lastOffset, durable })
  } catch (error) {
    tell({ what: 'refused', log: name, id, code: error.code })
    throw error
  }
}

async function fillKeyed(log, name, groups) {
  for (let group = 0; group < groups; group++) {
    await settled([0, 1, 2].map((at) => appendKeyed(log, name, at === 2 && group % 4 === 3)))
  }
}

async function compact(log, name) {
  tell({ what: 'compacting', log: name })
  await log.compact()
  tell({ what: 'compacted', log: name })
}

async function trim(log, name, to) {
  tell({ what: 'trimming', log: name, to })
  await log.trimBefore(to)
  tell({ what: 'trimmed', log: name, to: log.logStartOffset })
}

async function retain(log, name) {
  tell({ what: 'trimming', log: name, to: log.logEndOffset })
  await log.applyRetention()
  tell({ what: 'trimmed', log: name, to: log.logStartOffset })
}

/** Cuts off the last appends. */
async function truncate(log, name, appends) {
  const known = bases.get(name)
  const [to] = known.splice(-appends)
  tell({ what: 'truncating', log: name, to })
  const end = await log.truncateTo(to)
  if (end !== to) throw new Error(`was to end at ${to} and ends at ${end}`)
  tell({ what: 'truncated', log: name, to })
}

/** As a crash in the middle of a write leaves it: the beginning of a batch that was never answered. */
function tearTail(log) {
  const folder = join(path, `${log}-0`)
  const newest = readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)
  appendFileSync(join(folder, newest), batchOf(9_999_999, 2).subarray(0, 130))
}

const scripts = {
  /** Appends, rolls, index files, checkpoints, a clean end and another start. */
  async appends() {
    for (let round = 0; round < 2; round++) {
      const directory = await open()
      const plain = await create(directory, 'plain')
      const sequence = await create(directory, 'sequence')
      await settled([fill(plain, 'plain', 24), fillInSequence(sequence, 'sequence', 20)])
      await close(directory)
    }
  },

  /** Starts after an unclean end, with a torn tail. */
  async recovery() {
    for (let round = 0; round < 4; round++) {
      const directory = await open()
      const plain = await create(directory, 'plain')
      const sequence = await create(directory, 'sequence')
      await settled([fill(plain, 'plain', 8), fillInSequence(sequence, 'sequence', 8)])
      await close(directory, false)
      tearTail(round % 2 === 0 ? 'plain' : 'sequence')
    }
    await close(await open())
  },

  /** Appends until it is killed, some of it durable, while the logs are cut at either end and compacted. */
  async endless() {
    const directory = await open()
    const plain = await create(directory, 'plain')
    const sequence = await create(directory, 'sequence')
    const keyed = await create(directory, 'keyed')
    for (;;) {
      await settled([fill(plain, 'plain', 8), fillInSequence(sequence, 'sequence', 10), fillKeyed(keyed, 'keyed', 6)])
      await settled([truncate(plain, 'plain', 1), compact(keyed, 'keyed'), fillKeyed(keyed, 'keyed', 3)])
      await settled([
        trim(plain, 'plain', Math.max(0, plain.logEndOffset - 60)),
        fillInSequence(sequence, 'sequence', 10),
      ])
    }
  },

  /**
   * Eight logs wait for their fsync; `other` is appended to and read meanwhile, one after the other. Tells how long these
   * took while anybody waited, and what the sampler says of the event loop.
   */
  async stalling() {
    const directory = await open()
    const slow = await Promise.all(Array.from({ length: 8 }, (_, index) => create(directory, `slow${index}`)))
    const other = await create(directory, 'other')
    const sampler = startLoopSampler()
    await fill(other, 'other', 2)
    sampler.reset()
    const begun = performance.now()
    let waiting = slow.length
    const syncs = slow.map(async (log, index) => {
      await append(log, `slow${index}`, { durable: true })
      waiting--
    })
    const tookMs = { appends: [], reads: [] }
    while (waiting > 0) {
      const before = performance.now()
      await append(other, 'other')
      const between = performance.now()
      for await (const _ of other.read({ from: Math.max(0, other.logEndOffset - 20) }));
      tookMs.appends.push(between - before)
      tookMs.reads.push(performance.now() - between)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await settled(syncs)
    tell({ what: 'measured', stalledMs: performance.now() - begun, tookMs, loop: sampler.snapshot() })
    sampler.close()
    await close(directory, false)
  },

  /** Logs that lose their beginning or their end, also over segments, also all of it. */
  async shrinking() {
    for (let round = 0; round < 2; round++) {
      const directory = await open()
      const plain = await create(directory, 'plain')
      const sequence = await create(directory, 'sequence')
      const aged = await create(directory, 'aged')
      await settled([fill(plain, 'plain', 12), fillInSequence(sequence, 'sequence', 16), fill(aged, 'aged', 12)])
      await trim(plain, 'plain', plain.logStartOffset + 5)
      await trim(plain, 'plain', plain.logEndOffset - 8)
      await settled([retain(aged, 'aged'), truncate(sequence, 'sequence', 12), fill(plain, 'plain', 4)])
      await settled([fillInSequence(sequence, 'sequence', 6), truncate(plain, 'plain', 1), fill(aged, 'aged', 6)])
      await settled([fill(plain, 'plain', 4), trim(plain, 'plain', plain.logEndOffset), retain(aged, 'aged')])
      await truncate(sequence, 'sequence', 1)
      await close(directory, round === 1)
    }
    await close(await open())
  },

  /** Compaction, in a worker thread, while appends go on; again over what was compacted; of a log that was cut. */
  async compaction() {
    for (let round = 0; round < 2; round++) {
      const directory = await open()
      const keyed = await create(directory, 'keyed')
      await fillKeyed(keyed, 'keyed', 16)
      await settled([compact(keyed, 'keyed'), fillKeyed(keyed, 'keyed', 8)])
      await compact(keyed, 'keyed')
      await fillKeyed(keyed, 'keyed', 2)
      await close(directory, round === 1)
    }
  },

  /** Logs that come and go. */
  async removal() {
    const directory = await open()
    const plain = await create(directory, 'plain')
    await fill(plain, 'plain', 4)
    for (let round = 0; round < 3; round++) {
      const passing = await create(directory, 'passing')
      await fill(passing, 'passing', 6)
      tell({ what: 'removing', log: 'passing' })
      await directory.remove('passing', 0)
      tell({ what: 'removed', log: 'passing' })
    }
    await fill(plain, 'plain', 4)
    await close(directory)
  },
}

try {
  await scripts[scriptName]()
  process.exitCode = isOffline ? 3 : 0
} catch (error) {
  tell({ what: 'failed', code: error.code, message: error.message })
  process.exitCode = isOffline ? 3 : 1
}
