/**
 * Bombs at every door, with the usual settings, in a process of its own: an error for each batch, never more memory than
 * pagelog.decompressed.batch.max.bytes and two batches, and whoever was given them goes on.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { compressBatch, DECOMPRESSED_BATCH_BYTES_MAX } from '../../src/record/index.ts'
import { createTopic, produce, stillServes } from '../broker/fixtures.ts'
import { RawClient } from '../broker/raw-client.ts'
import { batchWith } from '../client/batches.ts'
import { FakeBroker } from '../client/fake-broker.ts'
import { availableCodecs, noise } from '../record/compression/support.ts'
import { message } from '../record/legacy/support.ts'
import { encode } from '../record/support.ts'
import { type Bomb, batchOfFrame, bombs, MIB } from './bombs.ts'

const codecs = await availableCodecs()
const all = bombs(DECOMPRESSED_BATCH_BYTES_MAX).filter(({ codec }) =>
  codecs.some(({ compression }) => compression === codec),
)
const MESSAGE_MAX_BYTES = 1_048_588
const EXTRA_BYTES_MAX = DECOMPRESSED_BATCH_BYTES_MAX + 2 * MESSAGE_MAX_BYTES

/** What a consumer has besides: ahead by its setting (8 MiB here), and answers of 1 MiB on their way across seeks. */
const FETCHED_BYTES_MAX = 16 * MIB
/** A process for each, and megabytes on all their ways. */
const SLOW = { timeout: 120_000 }

/** Legal batches that take every path once: what is loaded and kept then is none of the bombs'. */
const legal = codecs.flatMap((codec) =>
  [batchWith(['small']), encode([{ timestamp: 1_000, key: null, value: noise(900_000), headers: [] }])].map((batch) =>
    codec.compression === 0 ? batch : compressBatch(batch, codec),
  ),
)

class Eater {
  readonly #child: ChildProcess

  constructor() {
    const path = fileURLToPath(new URL('eater.mjs', import.meta.url))
    // What is freed goes back to the system at once, so that what is measured is what is in use.
    const env = { ...process.env, MALLOC_MMAP_THRESHOLD_: '262144' }
    this.#child = fork(path, { env, execArgv: ['--expose-gc'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  }

  async ask<A>(ask: string, given: object = {}): Promise<A> {
    const { answer, failure } = await new Promise<{ answer: A; failure?: string }>((resolve, reject) => {
      this.#child.once('message', resolve)
      this.#child.once('exit', (code, signal) => reject(new Error(`the process has ended: ${code ?? signal}`)))
      this.#child.send({ ask, ...given })
    })
    this.#child.removeAllListeners('exit')
    if (failure !== undefined) throw new Error(failure)
    return answer
  }

  /** What `work` took at most, more than there was before it. */
  async extraBytes(work: () => Promise<unknown>): Promise<number> {
    const before = await this.ask<number>('reset')
    await work()
    return (await this.ask<number>('peak')) - before
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.disconnect()
    await ended
  }
}

const closers: (() => unknown)[] = []
let eater: Eater
beforeEach(() => {
  eater = new Eater()
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await eater.end()
})

/** Bombs by their names, with what became of each and the memory that it took. */
type Eaten = readonly { readonly name: string; readonly outcome: string | number; readonly extraBytes: number }[]

async function eat(outcomeOf: (bomb: Bomb, at: number) => Promise<string | number>): Promise<Eaten> {
  const eaten: { name: string; outcome: string | number; extraBytes: number }[] = []
  for (const [at, bomb] of all.entries()) {
    let outcome: string | number = ''
    const extraBytes = await eater.extraBytes(async () => {
      outcome = await outcomeOf(bomb, at)
    })
    eaten.push({ name: bomb.name, outcome, extraBytes })
  }
  return eaten
}

function expectWithin(eaten: Eaten, outcomes: readonly (string | number)[], bytesMax = EXTRA_BYTES_MAX): void {
  expect(eaten.filter(({ outcome }) => !outcomes.includes(outcome))).toEqual([])
  expect(eaten.filter(({ extraBytes }) => extraBytes > bytesMax)).toEqual([])
}

test('the broker refuses each with an error of its batch, and serves', SLOW, async () => {
  const { bootstrap } = await eater.ask<{ bootstrap: string }>('broker', { settings: {} })
  const client = await RawClient.connect(bootstrap)
  closers.push(() => client.close())
  await createTopic(client, 't')
  for (const batch of [...legal, ...legal]) {
    expect(await produce(client, 't', batch)).toMatchObject({ errorCode: ErrorCode.NONE })
  }
  const eaten = await eat(async (bomb) => (await produce(client, 't', batchOfFrame(bomb))).errorCode)
  expectWithin(eaten, [ErrorCode.INVALID_RECORD, ErrorCode.MESSAGE_TOO_LARGE])
  for (const batch of legal) expect(await produce(client, 't', batch)).toMatchObject({ errorCode: ErrorCode.NONE })
  await stillServes(client)
})

test('the consumer has an error for each, and what comes behind', SLOW, async () => {
  const broker = await FakeBroker.start()
  closers.push(() => broker.close())
  broker.addTopic('t', 1)
  const batches = [...legal, ...all.map(batchOfFrame), ...legal]
  for (const batch of batches) broker.append('t', 0, batch)
  await eater.ask('consumer', { bootstrap: broker.bootstrap })
  const consume = (offset: number) => eater.ask<{ code?: string; records?: number }>('consume', { offset })
  for (let offset = 0; offset < legal.length; offset++) expect(await consume(offset)).toEqual({ records: 1 })
  const eaten = await eat(async (_, at) => (await consume(legal.length + at)).code ?? 'none')
  // Every seek fetches anew; the answers before, and those on their way, are there as well.
  expectWithin(eaten, ['PAGELOG_TOO_LARGE', 'PAGELOG_CORRUPT'], EXTRA_BYTES_MAX + FETCHED_BYTES_MAX)
  expect(await consume(legal.length + all.length)).toEqual({ records: 1 })
})

/** A compacted log of these batches. */
async function logOf(batches: readonly Uint8Array[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-'))
  closers.push(() => rmSync(directory, { recursive: true, force: true }))
  const files = batches.map((batch, index) => {
    const path = join(directory, `${index}.batch`)
    writeFileSync(path, batch)
    return path
  })
  await eater.ask('log', { directory: join(directory, 'log'), files })
}

test('Log.read has an error for each and reads on behind it', SLOW, async () => {
  await logOf([...legal, ...all.map(batchOfFrame), ...legal])
  const read = (offset: number) => eater.ask<{ code?: string; records?: number }>('read', { offset })
  for (let offset = 0; offset < legal.length; offset++) expect(await read(offset)).toEqual({ records: 1 })
  const eaten = await eat(async (_, at) => (await read(legal.length + at)).code ?? 'none')
  expectWithin(eaten, ['PAGELOG_TOO_LARGE', 'PAGELOG_CORRUPT'])
  expect(await read(legal.length + all.length)).toEqual({ records: 1 })
})

test('compaction leaves them as they are', SLOW, async () => {
  const those = all.filter(({ isWithin }) => isWithin !== true)
  await logOf([...legal, ...legal])
  await eater.ask('compact')
  await logOf([...legal, ...those.map(batchOfFrame)])
  let report: { recordsKept: number } | undefined
  const extraBytes = await eater.extraBytes(async () => {
    report = await eater.ask('compact')
  })
  // Theirs alone: legal ones have records without keys.
  expect(report).toMatchObject({ recordsKept: those.length })
  expect(extraBytes).toBeLessThan(EXTRA_BYTES_MAX)
})

test.each([0, 1])('wrappers of format %i are refused', SLOW, async (magic) => {
  for (const { codec, frame } of all.filter(({ codec }) => codec < 4)) {
    const set = Buffer.from(message(magic, { offset: 0, codec, value: frame })).toString('base64')
    const given = { set, maxBytes: DECOMPRESSED_BATCH_BYTES_MAX }
    let answer: { code?: string } = {}
    const extraBytes = await eater.extraBytes(async () => {
      answer = await eater.ask('convert', given)
    })
    expect(['PAGELOG_TOO_LARGE', 'PAGELOG_CORRUPT']).toContain(answer.code)
    expect(extraBytes).toBeLessThan(EXTRA_BYTES_MAX)
  }
})
