/** How inspections share threads and memory; and the order of what follows them. */
import { describe, expect, test } from 'vitest'
import { ErrorCode, PagelogError } from '../../src/base/index.ts'
import type { InspectJob } from '../../src/broker/inspection-jobs.ts'
import { inspectRecords } from '../../src/broker/inspection-jobs.ts'
import type { InspectionRules } from '../../src/broker/record-inspection.ts'
import { RecordInspector } from '../../src/broker/record-inspector.ts'
import { type Job, nodeEnv, type Workers } from '../../src/env/index.ts'
import { compressBatch, loadCodec } from '../../src/record/index.ts'
import { AppendOrder } from '../../src/replication/index.ts'
import { batchOf } from './fixtures.ts'

const MIB = 1 << 20
const gzip = await loadCodec(1)
const rules: InspectionRules = {
  maxBytes: 8 * MIB,
  maxBatchBytes: MIB,
  codec: 1,
  level: undefined,
  needsKeys: false,
  times: undefined,
}
const zeros = (bytes: number): Uint8Array => compressBatch(batchOf(['\0'.repeat(bytes)]), gzip)
const noise = (count: number): Uint8Array =>
  compressBatch(batchOf(Array.from({ length: count }, (_, i) => `${(i * 2654435761) % 4294967296}`)), gzip)

/** Jobs wait until the test lets them go. */
class HeldWorkers implements Workers {
  readonly held: { readonly job: InspectJob; readonly go: () => void; readonly fail: (error: Error) => void }[] = []
  /** Sum of the bounds of the jobs that run, and the largest that it was. */
  bytes = 0
  mostBytes = 0

  run<I, O>(_job: Job, input: I): Promise<O> {
    const job = input as InspectJob
    this.bytes += job.rules.maxBytes
    this.mostBytes = Math.max(this.mostBytes, this.bytes)
    return new Promise<O>((resolve, reject) => {
      const end = (): void => {
        this.bytes -= job.rules.maxBytes
        this.held.splice(this.held.indexOf(entry), 1)
      }
      const go = (): void => {
        end()
        resolve(inspectRecords(job) as Promise<O>)
      }
      const fail = (error: Error): void => {
        end()
        reject(error)
      }
      const entry = { job, go, fail }
      this.held.push(entry)
    })
  }

  async close(): Promise<void> {}
}

function inspectorWith(workers: Workers, workerMinBytes = 0): RecordInspector {
  return new RecordInspector({ workers, clock: nodeEnv().clock, maxBytes: 8 * MIB, workerMinBytes })
}

async function letGo(workers: HeldWorkers, all: Promise<unknown>): Promise<void> {
  let isDone = false
  const done = all.finally(() => {
    isDone = true
  })
  while (!isDone) {
    for (const { go } of [...workers.held]) go()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await done
}

describe('memory', () => {
  test('what is decompressed at the same time stays within the bound, bombs and all', async () => {
    const workers = new HeldWorkers()
    const inspector = inspectorWith(workers)
    const batches = [noise(40_000), zeros(6 * MIB), noise(3), zeros(20 * MIB), noise(60_000), zeros(7 * MIB), noise(5)]
    const all = Promise.all(batches.map((batch) => inspector.inspect(batch, rules)))
    await letGo(workers, all)
    const codes = (await all).map(({ verdict }) => verdict?.errorCode ?? 0)
    expect(codes).toEqual([0, 0, 0, ErrorCode.MESSAGE_TOO_LARGE, 0, 0, 0])
    expect(workers.mostBytes).toBeLessThanOrEqual(8 * MIB)
    expect(inspector.pending).toBe(0)
  })

  test('at most four jobs run; the others wait', async () => {
    const workers = new HeldWorkers()
    const inspector = inspectorWith(workers)
    const all = Promise.all(Array.from({ length: 30 }, () => inspector.inspect(noise(10), rules)))
    expect([workers.held.length, inspector.pending]).toEqual([4, 30])
    await letGo(workers, all)
    expect(inspector.pending).toBe(0)
  })

  test('new batches that are not appended yet hold up the next, but never a large one', async () => {
    const workers = new HeldWorkers()
    const inspector = inspectorWith(workers)
    const plain = { ...rules, codec: 0, maxBatchBytes: 8 * MIB }
    const first = inspector.inspect(zeros(5 * MIB), plain)
    await letGo(workers, Promise.resolve(first))
    const second = inspector.inspect(zeros(4 * MIB), plain)
    await letGo(workers, Promise.resolve(second)) // 9 MiB wait to be appended now
    const third = inspector.inspect(noise(10), plain)
    await new Promise((resolve) => setImmediate(resolve))
    expect(workers.held).toHaveLength(0)
    inspector.recoded((await first).batch!.length)
    await letGo(workers, Promise.resolve(third))
    expect((await third).verdict).toBeUndefined()
  })
})

test('new batches made in place never wait to be appended behind one that they hold up', async () => {
  const workers = new HeldWorkers()
  const inspector = inspectorWith(workers, 8 * MIB + 1)
  const plain = { ...rules, codec: 0, maxBatchBytes: 8 * MIB }
  const large = noise(350_000) // more than is recompressed in place; all memory each
  const running = inspector.inspect(large, plain)
  const all = [inspector.inspect(large, plain)]
  for (let i = 0; i < 12; i++) {
    all.push(inspector.inspect(zeros(MIB - 1000), plain))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(workers.held).toHaveLength(1)
  workers.held[0]!.go()
  inspector.recoded((await running).batch!.length)
  for (const one of all) {
    await letGo(workers, Promise.resolve(one))
    inspector.recoded((await one).batch!.length)
  }
  expect(inspector.pending).toBe(0)
})

describe('where it is done', () => {
  test('small batches in place, as many as one turn of the event loop has room for', async () => {
    const workers = new HeldWorkers()
    const inspector = inspectorWith(workers, 64 * 1024)
    const small = noise(100)
    let inPlace = 0
    const later: Promise<unknown>[] = []
    for (let i = 0; i < 200; i++) {
      const inspection = inspector.inspect(small, rules)
      if (inspection instanceof Promise) later.push(inspection)
      else inPlace++
    }
    expect(inPlace).toBeGreaterThan(10)
    expect(inPlace).toBeLessThan(100)
    await letGo(workers, Promise.all(later))
    expect(inspector.inspect(small, rules)).not.toBeInstanceOf(Promise)
  })

  test('a small batch that holds much goes to a worker after all', async () => {
    const workers = new HeldWorkers()
    const inspection = inspectorWith(workers, 64 * 1024).inspect(zeros(MIB), rules)
    expect(inspection).toBeInstanceOf(Promise)
    await letGo(workers, Promise.resolve(inspection))
    expect((await inspection).plainBytes).toBeGreaterThan(MIB)
  })

  test('a worker that dies fails its batch alone; one that has no room says try again', async () => {
    const workers = new HeldWorkers()
    const inspector = inspectorWith(workers)
    const [dies, full, lives] = [1, 2, 3].map(() => inspector.inspect(noise(10), rules))
    workers.held[0]!.fail(new PagelogError('PAGELOG_WORKER', 'it died'))
    await expect(dies).rejects.toMatchObject({ code: 'PAGELOG_WORKER' })
    workers.held[0]!.fail(new PagelogError('PAGELOG_BUFFER_FULL', 'no room'))
    expect((await full!).verdict?.errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    await letGo(workers, Promise.resolve(lives))
    expect((await lives!).verdict).toBeUndefined()
  })
})

describe('order of appends', () => {
  test('nobody is overtaken, whoever is ready first', () => {
    const order = new AppendOrder()
    const done: number[] = []
    const turns = [0, 1, 2, 3].map(() => order.enter())
    const take = (i: number): void => turns[i]!.take(() => done.push(i))
    take(2)
    take(1)
    expect(done).toEqual([])
    expect(order.isFree).toBe(false)
    take(0)
    expect(done).toEqual([0, 1, 2])
    take(3)
    expect([done, order.isFree]).toEqual([[0, 1, 2, 3], true])
  })
})
