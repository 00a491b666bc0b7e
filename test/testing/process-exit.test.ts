/** What keeps a process alive, and what must not: the built package in a process of its own, which has to end by itself. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

/** Far below the longest timer of any part (minutes), far above what a script takes. */
const PATIENCE_MS = 12_000
const root = fileURLToPath(new URL('../..', import.meta.url))
const imports = `
  import { startBroker } from 'pagelog/testing'
  import { Admin, Consumer, Producer } from 'pagelog/client'
`

/** What the script printed, once it has ended by itself; killed at the end of our patience. */
function run(script: string): Promise<{ ended: string; output: string; errors: string }> {
  const options = { cwd: root, timeout: PATIENCE_MS, killSignal: 'SIGKILL' as const }
  const args = ['--input-type=module', '-e', imports + script]
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, output, errors) => {
      resolve({ ended: error === null ? 'well' : (error.signal ?? `code ${error.code}`), output, errors })
    })
  })
}

describe('a process ends by itself', () => {
  const useAll = `
    const { bootstrap, broker, directory, close } = await startBroker()
    const admin = new Admin({ bootstrap })
    await admin.createTopics([{ topic: 'topic', partitions: 2 }])
    const producer = new Producer({ bootstrap })
    await producer.send({ topic: 'topic', value: 'value', partition: 0 })
    const consumer = new Consumer({ bootstrap })
    consumer.assign([{ topic: 'topic', partition: 0, offset: 'beginning' }])
    for await (const batch of consumer) {
      console.log('received', batch.recordCount)
      break
    }
  `

  test.each([
    ['clients first', 'await consumer.close(); await producer.close(); await admin.close(); await close()'],
    ['the broker first', 'await close(); await consumer.close(); await producer.close(); await admin.close()'],
  ])('when broker and clients are closed, %s', async (_order, closing) => {
    const closed = `${closing}; console.log('closed')`
    expect(await run(useAll + closed)).toEqual({ ended: 'well', output: 'received 1\nclosed\n', errors: '' })
  })

  test('when a log directory with records that wait for flush.ms is closed', async () => {
    const script = `
      import { LogDirectory, logSettings } from './dist/src/log/index.js'
      import { defaultsOf } from './dist/src/base/index.js'
      import { nodeEnv } from './dist/src/env/index.js'
      import { BatchWriter } from './dist/src/record/index.js'
      import { mkdtemp, rm } from 'node:fs/promises'
      const path = await mkdtemp((await import('node:os')).tmpdir() + '/pagelog-exit-')
      const defaults = { ...defaultsOf(logSettings), flushMs: 600_000 }
      const directory = await LogDirectory.open({ env: nodeEnv(), path, defaults })
      const log = await directory.create('topic', 0, 'AAAAAAAAAAAAAAAAAAAAAQ')
      const writer = new BatchWriter(new Uint8Array(1000))
      writer.append(0, null, new Uint8Array(10))
      await log.appendBatch(writer.finish({ producerId: -1, producerEpoch: -1, baseSequence: -1 }), 0)
      await directory.close()
      await rm(path, { recursive: true })
      console.log('closed')
    `
    expect(await run(script)).toEqual({ ended: 'well', output: 'closed\n', errors: '' })
  })

  // Its background pass begins a second after start, and would take a day here.
  test.each([
    ['at once', ''],
    ['while it is read through', 'await new Promise((resolve) => setTimeout(resolve, 1500)); running()'],
  ])('when a log directory was never closed, %s', async (_when, then) => {
    const script = `
      import { openLogDirectory } from 'pagelog'
      import { mkdtemp, rm } from 'node:fs/promises'
      const path = await mkdtemp((await import('node:os')).tmpdir() + '/pagelog-exit-')
      const directory = await openLogDirectory(path, { settings: { scrubBytesPerSecond: 1 } })
      const log = await directory.open('events')
      await log.append([{ value: new Uint8Array(100_000) }])
      const running = () => console.log('running', directory.knownDamage.scrubber.stats.isRunning)
      ${then}
      process.on('exit', () => console.log('ended'))
      await rm(path, { recursive: true })
    `
    const output = then === '' ? 'ended\n' : 'running true\nended\n'
    expect(await run(script)).toEqual({ ended: 'well', output, errors: '' })
  })
})

test('a pass over the logs that is asked for is waited for', async () => {
  const script = `
    import { openLogDirectory } from 'pagelog'
    import { mkdtemp, rm } from 'node:fs/promises'
    const path = await mkdtemp((await import('node:os')).tmpdir() + '/pagelog-exit-')
    const directory = await openLogDirectory(path, { settings: { scrubBytesPerSecond: 50_000 } })
    const log = await directory.open('events')
    await log.append([{ value: new Uint8Array(50_000) }])
    await directory.knownDamage.scrubber.scrub()
    console.log('read')
    await rm(path, { recursive: true })
  `
  expect(await run(script)).toEqual({ ended: 'well', output: 'read\n', errors: '' })
})

test('a flush without any broker is waited for until the records are given up', async () => {
  const script = `
    import { createServer } from 'node:net'
    const server = createServer()
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address()
    await new Promise((resolve) => server.close(resolve))
    const limits = { deliveryTimeoutMs: 1000, maxBlockMs: 1000, requestTimeoutMs: 500, lingerMs: 0 }
    const producer = new Producer({ bootstrap: '127.0.0.1:' + port, ...limits })
    producer.send({ topic: 'topic', value: 'value' })
    await producer.flush().catch((error) => console.log(error.code))
    await producer.close()
  `
  expect(await run(script)).toEqual({ ended: 'well', output: 'PAGELOG_TIMED_OUT\n', errors: '' })
})
