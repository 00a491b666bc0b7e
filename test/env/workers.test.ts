/** CPU jobs off the event loop: real threads, and the twin on this one. The threads run what the build made of the sources. */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/index.ts'
import { inThreadWorkers, type Job, jobAt, nodeEnv, nodeWorkers, type Workers } from '../../src/env/index.ts'
import { builtModule } from '../../src/env/node/workers.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const env = nodeEnv()
const opened: Workers[] = []
afterEach(async () => {
  for (const workers of opened.splice(0)) await workers.close()
})

function opening(workers: Workers): Workers {
  opened.push(workers)
  return workers
}

const builtEnv = builtModule(jobAt(import.meta.url, '../../src/env/index', '').module)
const JOBS = `
import { moved as MOVED } from ${JSON.stringify(builtEnv.href)}
export const double = (n) => 2 * n
export const sum = (bytes) => bytes.reduce((a, b) => a + b, 0)
export const fill = (shared) => { new Uint8Array(shared).fill(7) }
export const later = async (n) => { await new Promise((go) => setTimeout(go, 1)); return n }
export const fail = () => { throw Object.assign(new TypeError('no good'), { cause: new Error('why') }) }
export const end = () => process.exit(3)
export const kept = () => { const bytes = new Uint8Array(8).fill(5); globalThis.given = bytes; return { bytes } }
export const given = () => { const bytes = new Uint8Array(8).fill(5); globalThis.given = bytes; return MOVED({ bytes }, bytes) }
export const left = () => globalThis.given.length
export const crash = async () => { setImmediate(() => { throw new Error('out of nowhere') }); await new Promise(() => {}) }
export const untilAborted = async (signal, env) => {
  Atomics.store(new Int32Array(signal), 0, 1)
  while (!env.isAborted()) await new Promise((go) => env.clock.after(1, go))
  Atomics.store(new Int32Array(signal), 0, 2)
}
export const read = async (path, env) => new TextDecoder().decode(await env.disk.readFile(path))
export const write = async (path, env) => { const file = await env.disk.open(path, 'create'); await file.close() }
`

async function jobs(): Promise<(name: string) => Job> {
  const path = join(await temporaryDirectory(), 'jobs.mjs')
  await writeFile(path, JOBS)
  return (name) => ({ module: pathToFileURL(path), name })
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it was expected to fail')
}

/** Jobs take a signal's word by and by. */
async function reaches(flag: Int32Array, value: number): Promise<void> {
  while (Atomics.load(flag, 0) < value) await new Promise((go) => setImmediate(go))
}

const kinds: [string, () => Workers][] = [
  ['in threads', () => nodeWorkers({ threadsMax: 2, queueMax: 2 })],
  ['on this thread', () => inThreadWorkers(env)],
]

describe.each(kinds)('workers %s', (_, make) => {
  test('run functions of a module, synchronous or not', async () => {
    const job = await jobs()
    const workers = opening(make())
    expect(await workers.run(job('double'), 21)).toBe(42)
    expect(await workers.run(job('later'), 5)).toBe(5)
  })

  test('move the buffers that they are told to, and share the shared ones', async () => {
    const job = await jobs()
    const workers = opening(make())
    const bytes = new Uint8Array([1, 2, 3])
    expect(await workers.run(job('sum'), bytes, { transfer: [bytes.buffer] })).toBe(6)
    expect(bytes.length).toBe(0)
    const shared = new SharedArrayBuffer(4)
    await workers.run(job('fill'), shared)
    expect([...new Uint8Array(shared)]).toEqual([7, 7, 7, 7])
  })

  test('give a job a disk and a clock', async () => {
    const job = await jobs()
    const workers = opening(make())
    const path = join(await temporaryDirectory(), 'file')
    await writeFile(path, 'content')
    expect(await workers.run(job('read'), path)).toBe('content')
  })

  test('pass on what a job throws, with code and fields', async () => {
    const job = await jobs()
    const workers = opening(make())
    const error = (await rejection(workers.run(job('fail'), 0))) as Error
    expect(error.message).toBe('no good')
    expect((error.cause as Error).message).toBe('why')
    const path = join(await temporaryDirectory(), 'nowhere', 'file')
    const storage = await rejection(workers.run(job('write'), path))
    expect(storage).toMatchObject({ name: 'PagelogError', path })
  })

  test('refuse a job that is not there', async () => {
    const job = await jobs()
    const workers = opening(make())
    expect(hasCode(await rejection(workers.run(job('missing'), 0)), 'PAGELOG_WORKER')).toBe(true)
    const nowhere = { module: pathToFileURL('/nowhere/jobs.mjs'), name: 'x' }
    expect(hasCode(await rejection(workers.run(nowhere, 0)), 'PAGELOG_WORKER')).toBe(true)
  })

  test('abort a running job through its flag, and settle when it has ended', async () => {
    const job = await jobs()
    const workers = opening(make())
    const controller = new AbortController()
    const flag = new Int32Array(new SharedArrayBuffer(4))
    const running = rejection(workers.run(job('untilAborted'), flag.buffer, { signal: controller.signal }))
    await reaches(flag, 1)
    controller.abort(new Error('enough'))
    const error = (await running) as Error
    expect(hasCode(error, 'PAGELOG_ABORTED')).toBe(true)
    expect((error.cause as Error).message).toBe('enough')
    expect(Atomics.load(flag, 0)).toBe(2)
  })

  test('do not begin a job that was aborted before', async () => {
    const job = await jobs()
    const workers = opening(make())
    const error = await rejection(workers.run(job('double'), 1, { signal: AbortSignal.abort('no') }))
    expect(hasCode(error, 'PAGELOG_ABORTED')).toBe(true)
  })

  test('refuse jobs after close, which waits for those that run', async () => {
    const job = await jobs()
    const workers = opening(make())
    const running = workers.run(job('later'), 1)
    await workers.close()
    await workers.close()
    expect(await running).toBe(1)
    expect(hasCode(await rejection(workers.run(job('double'), 1)), 'PAGELOG_CLOSED')).toBe(true)
  })

  test('refuse an input that cannot be cloned', async () => {
    const job = await jobs()
    const workers = opening(make())
    await rejection(workers.run(job('double'), () => 1))
    expect(await workers.run(job('double'), 1)).toBe(2)
  })
})

describe('worker threads', () => {
  test('a thread that exits or crashes fails its job alone', async () => {
    const job = await jobs()
    const workers = opening(nodeWorkers({ threadsMax: 1 }))
    for (const name of ['end', 'crash']) {
      expect(hasCode(await rejection(workers.run(job(name), 0)), 'PAGELOG_WORKER')).toBe(true)
      expect(await workers.run(job('double'), 4)).toBe(8)
    }
  })

  test('at most so many jobs wait', async () => {
    const job = await jobs()
    const workers = opening(nodeWorkers({ threadsMax: 1, queueMax: 2 }))
    const running = [1, 2, 3].map((n) => workers.run(job('later'), n))
    const error = await rejection(workers.run(job('later'), 4))
    expect(error).toMatchObject({ code: 'PAGELOG_BUFFER_FULL', retriable: true })
    expect(await Promise.all(running)).toEqual([1, 2, 3])
    expect(await workers.run(job('later'), 5)).toBe(5)
  })

  test('jobs that wait go on when the only thread has died', async () => {
    const job = await jobs()
    const workers = opening(nodeWorkers({ threadsMax: 1 }))
    const ended = rejection(workers.run(job('end'), 0))
    const others = [1, 2, 3].map((n) => workers.run(job('double'), n))
    expect(hasCode(await ended, 'PAGELOG_WORKER')).toBe(true)
    expect(await Promise.all(others)).toEqual([2, 4, 6])
  })

  test('a buffer that the job gives up is moved, others are cloned', async () => {
    const job = await jobs()
    const workers = opening(nodeWorkers({ threadsMax: 1 }))
    const bytes = new Uint8Array(8).fill(5)
    expect(await workers.run(job('kept'), 0)).toEqual({ bytes })
    expect(await workers.run(job('left'), 0)).toBe(8)
    expect(await workers.run(job('given'), 0)).toEqual({ bytes })
    expect(await workers.run(job('left'), 0)).toBe(0)
  })

  test('without their compiled module jobs fail and say so, and close ends', async () => {
    const job = await jobs()
    const entry = join(await temporaryDirectory(), 'entry.mjs')
    const workers = opening(nodeWorkers({ threadsMax: 1, entry }))
    for (let i = 0; i < 2; i++) {
      const error = await rejection(workers.run(job('double'), 1))
      expect(error).toMatchObject({
        code: 'PAGELOG_WORKER',
        path: entry,
        message: expect.stringMatching(/npm run build/),
      })
    }
    await writeFile(entry, 'throw new Error("half a build")')
    const failures = await Promise.all([1, 2, 3].map((n) => rejection(workers.run(job('double'), n))))
    for (const error of failures) {
      expect(error).toMatchObject({ code: 'PAGELOG_WORKER', message: expect.stringMatching(/half a build/) })
    }
    await writeFile(entry, 'export const runJob = ({ input }) => ({ output: input })')
    await workers.close()
  })

  test('idle threads let the process end', async () => {
    const directory = await temporaryDirectory()
    await writeFile(join(directory, 'jobs.mjs'), JOBS)
    const script = `
      import { nodeEnv } from ${JSON.stringify(builtEnv.href)}
      const job = { module: new URL(${JSON.stringify(pathToFileURL(join(directory, 'jobs.mjs')).href)}), name: 'double' }
      console.log(await nodeEnv().workers.run(job, 4))
    `
    await writeFile(join(directory, 'main.mjs'), script)
    const ended = spawnSync(process.execPath, [join(directory, 'main.mjs')], { encoding: 'utf8', timeout: 9000 })
    expect([ended.stdout.trim(), ended.status, ended.signal]).toEqual(['8', 0, null])
  })
})
