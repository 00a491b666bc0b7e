/**
 * Loads with processes of their own, against stub brokers: the figures are there, what a bad broker does is said clearly,
 * and nothing hangs. Times are bounds of the harness itself (drain 1 s), not of the machine.
 */
import { createServer, type Server } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { StubSpec } from '../../../bench/honesty/stub-main.ts'
import { StubProcess } from '../../../bench/honesty/stub-process.ts'
import { readLoadLine } from '../../../bench/load/options.ts'
import type { LoadRun } from '../../../bench/load/result.ts'
import { runLoad } from '../../../bench/load/run.ts'
import { loopback } from '../../../bench/netns/placement.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function stub(spec: Partial<StubSpec>): Promise<StubProcess> {
  const broker = await StubProcess.start({ partitions: 1, ...spec })
  closing.push(() => broker.close())
  return broker
}

async function load(bootstrap: string, ...options: string[]): Promise<LoadRun> {
  const given = ['--partitions', '1', '--linger', '0', '--batch', '2000', '--drain', '1', '--warm-up', '0', ...options]
  const { settings } = readLoadLine(given)!
  return await runLoad({
    settings: { ...settings, poolBytes: 50_000 },
    target: { bootstrap },
    placement: loopback,
    signal: new AbortController().signal,
  })
}

/** Accepts and does with each connection what it is told. */
async function listening(onConnection: Parameters<typeof createServer>[1]): Promise<string> {
  const sockets = new Set<{ destroy(): void }>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection?.(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return `127.0.0.1:${(server.address() as { port: number }).port}`
}

describe('against a broker that does what it should', () => {
  test('an open loop: counts, latencies of three kinds, the harness itself, verified', async () => {
    const broker = await stub({ delayMs: 1, partitions: 3 })
    const run = await load(broker.bootstrap, '--rate', '300', '--seconds', '0.5', '--verify', '--partitions', '3')
    expect(run).toMatchObject({ error: null, intended: 150, acknowledged: 150, failed: 0, unfinished: 0 })
    expect(run.verification).toMatchObject({ received: 150, missing: 0, duplicates: 0, outOfOrder: 0, damaged: 0 })
    expect(run.latencyMs!.count).toBe(150)
    expect(run.latencyMs!.p50).toBeGreaterThanOrEqual(1)
    expect(run.serviceTimeMs!.p50).toBeLessThanOrEqual(run.latencyMs!.p50)
    expect(run.latenessMs!.count).toBe(150)
    expect(run.endToEndMs!.count).toBeGreaterThan(0)
    expect(run.overhead!.microsecondsPerRecord).toBeGreaterThan(0)
  })

  test('a closed loop of two producers', async () => {
    const broker = await stub({})
    const closed = ['--seconds', '0.3', '--producers', '2', '--buffer', '100000', '--drain', '15']
    const run = await load(broker.bootstrap, ...closed, '--verify', '--acks', 'all')
    expect(run.error).toBeNull()
    expect(run.acknowledged).toBeGreaterThan(0)
    expect(run.processes.map(({ role }) => role)).toEqual(['producer 1', 'producer 2', 'consumer'])
  })
})

test('what is stored and is not what was sent is found, and said', async () => {
  const cases = [
    { how: 'duplicate', wanted: { duplicates: 1, missing: 0, damaged: 0 }, said: 'duplicates' },
    { how: 'drop', wanted: { missing: 1, duplicates: 0 }, said: 'missing' },
    { how: 'damage', wanted: { damaged: 1 }, said: 'damaged' },
    { how: 'swap', wanted: { outOfOrder: 1, missing: 0 }, said: 'out of order' },
  ] as const
  const runs = cases.map(async ({ how }) => {
    const broker = await stub({ tamper: { batch: 5, how } })
    // A batch each: one record, of which nothing else travels with it.
    return await load(broker.bootstrap, '--rate', '50', '--seconds', '0.5', '--verify', '--batch', '1')
  })
  for (const [index, run] of (await Promise.all(runs)).entries()) {
    expect(run.verification).toMatchObject(cases[index]!.wanted)
    expect(run.error).toContain(cases[index]!.said)
    expect(run.verification!.examples).toHaveLength(cases[index]!.how === 'damage' ? 2 : 1)
  }
})

describe('a broker that fails', () => {
  const half = ['--rate', '100', '--seconds', '0.5']

  test('one whose disk is full, one that stops answering: what was acknowledged, what was not, and why', async () => {
    const brokers = [await stub({ fullAfterBatches: 10 }), await stub({ silentAfterBatches: 10 })]
    const runs = await Promise.all(brokers.map(({ bootstrap }) => load(bootstrap, ...half, '--batch', '1')))
    for (const run of runs) {
      expect(run.acknowledged).toBeGreaterThanOrEqual(5)
      expect(run.failed + run.unfinished).toBeGreaterThan(0)
      expect(run.error).toMatch(/log directory|no answer|not delivered/)
      // What never came back counts with the time that it waited.
      expect(run.latencyMs!.max).toBeGreaterThan(900)
    }
  }, 60_000)

  test('garbage, silence, a closed door, nobody there', async () => {
    const garbage = await listening((socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    const silent = await listening(() => {})
    const rude = await listening((socket) => socket.destroy())
    const all = [garbage, silent, rude, '127.0.0.1:1']
    const runs = await Promise.all(all.map((bootstrap) => load(bootstrap, ...half, '--topic', 't')))
    for (const run of runs) {
      expect(run).toMatchObject({ acknowledged: 0, latencyMs: null })
      expect(run.error).toMatch(/metadata/)
    }
  }, 60_000)

  test('one whose process dies in the middle', async () => {
    const broker = await StubProcess.start({})
    const { settings } = readLoadLine(['--rate', '100', '--seconds', '20', '--drain', '1', '--warm-up', '0'])!
    const target = { bootstrap: broker.bootstrap, pid: broker.pid, failure: broker.failure }
    const { signal } = new AbortController()
    let records = 0
    const onProgress = (count: number) => {
      records = count
      if (count > 0) void broker.close()
    }
    const run = await runLoad({ settings, target, placement: loopback, signal, onProgress })
    expect(records).toBeGreaterThan(0)
    expect(run.error).toContain('the stub broker ended')
  })
})

test('an abort ends it with what there is by then', async () => {
  const broker = await stub({})
  const abort = new AbortController()
  const { settings } = readLoadLine(['--rate', '100', '--seconds', '60', '--drain', '1', '--warm-up', '0'])!
  const onProgress = (count: number) => {
    if (count > 0) abort.abort()
  }
  const target = { bootstrap: broker.bootstrap }
  const run = await runLoad({ settings, target, placement: loopback, signal: abort.signal, onProgress })
  expect(run.error).toBe('interrupted')
  expect(run.acknowledged).toBeGreaterThan(0)
  expect(run.latencyMs!.count).toBeGreaterThan(0)
})
