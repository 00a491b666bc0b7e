import { spawn } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, test } from 'vitest'
import { LateLogger } from '../../src/cli/late-logger.ts'
import { callsOf, LOG_WAITING_BYTES_MAX, type LogCalls, LogDestination } from '../../src/cli/log-destination.ts'

type Done = Parameters<LogCalls['write']>[1]

/** A descriptor that takes nothing until the test says how each call ends. */
class FakeCalls implements LogCalls {
  written = ''
  pending: { bytes: Uint8Array; done: Done } | undefined
  delayed: (() => void)[] = []
  syncErrors: string[] = []

  write(bytes: Uint8Array, done: Done): void {
    expect(this.pending).toBeUndefined()
    this.pending = { bytes, done }
  }

  writeSync(bytes: Uint8Array): number {
    const code = this.syncErrors.shift()
    if (code !== undefined) throw Object.assign(new Error(code), { code })
    this.written += Buffer.from(bytes).toString()
    return bytes.length
  }

  nowMs(): number {
    return 5
  }

  soon(callback: () => void): void {
    this.later(0, callback)
  }

  later(_: number, callback: () => void): void {
    this.delayed.push(callback)
  }

  runDelayed(): void {
    for (const callback of this.delayed.splice(0)) callback()
  }

  take(length?: number): void {
    const { bytes, done } = this.pending!
    this.pending = undefined
    this.written += Buffer.from(bytes.subarray(0, length)).toString()
    done(null, length ?? bytes.length)
  }

  /** Until nothing is waiting. */
  takeAll(): void {
    this.runDelayed()
    for (let call = 0; this.pending && call < 1000; call++) this.take()
  }

  fail(code: string): void {
    const { done } = this.pending!
    this.pending = undefined
    done(Object.assign(new Error(code), { code }), 0)
  }
}

let calls: FakeCalls
let destination: LogDestination
beforeEach(() => {
  calls = new FakeCalls()
  destination = new LogDestination(calls)
})

describe('lines', () => {
  test('are written in order, those that came meanwhile together', () => {
    destination.write('a\n')
    calls.runDelayed()
    destination.write('b\n')
    destination.write('c\n')
    calls.take()
    expect(Buffer.from(calls.pending!.bytes).toString()).toBe('b\nc\n')
    calls.take()
    expect([calls.written, calls.pending]).toEqual(['a\nb\nc\n', undefined])
  })

  test('are written on where the kernel took a part', () => {
    destination.write('abcdef\n')
    calls.runDelayed()
    calls.take(2)
    calls.take(3)
    calls.takeAll()
    expect(calls.written).toBe('abcdef\n')
  })

  test('wait for a pipe that is busy', () => {
    destination.write('a\n')
    calls.runDelayed()
    calls.fail('EAGAIN')
    expect(calls.pending).toBeUndefined()
    calls.takeAll()
    expect(calls.written).toBe('a\n')
  })
})

describe('a disk that stalls', () => {
  test('costs a bounded amount of memory, and the lines that are lost are counted', () => {
    const line = `${'x'.repeat(1023)}\n`
    const lines = LOG_WAITING_BYTES_MAX / line.length
    for (let i = 0; i < lines + 300; i++) {
      destination.write(line)
      calls.runDelayed()
    }
    calls.takeAll()
    const tail = '{"level":40,"time":5,"dropped":300,"msg":"lines of this log are missing: it could not be written"}\n'
    expect(calls.written.length).toBe(LOG_WAITING_BYTES_MAX + tail.length)
    expect(calls.written.endsWith(tail)).toBe(true)
    destination.write(line)
    calls.takeAll()
    expect(calls.written.endsWith(line)).toBe(true)
  })
})

describe('a disk that is full', () => {
  test('loses lines, says how many, and goes on', () => {
    for (const line of ['a\n', 'b\n']) destination.write(line)
    calls.runDelayed()
    calls.fail('ENOSPC')
    expect(calls.pending).toBeUndefined()
    destination.write('c\n')
    calls.takeAll()
    expect(calls.written).toMatch(/^c\n\{.*"dropped":2,.*\}\n$/)
  })

  test('does not hold up the end of the process', () => {
    calls.syncErrors = ['ENOSPC']
    destination.write('a\n')
    destination.flushSync('b\n')
    expect(calls.written).toBe('')
  })

  test('as the system has it: no line gets through, and nothing is thrown', async () => {
    const full = await open('/dev/full', 'w')
    try {
      const real = callsOf(full.fd)
      const told: unknown[] = []
      await new Promise<void>((resolve) => {
        const write: LogCalls['write'] = (bytes, done) =>
          real.write(bytes, (error, written) => {
            told.push(error?.code)
            done(error, written)
            resolve()
          })
        new LogDestination({ ...real, write }).write('a\n')
      })
      new LogDestination(real).flushSync('b\n')
      expect(told).toEqual(['ENOSPC'])
    } finally {
      await full.close()
    }
  })

  test('does not keep a broker that has something to say from closing in order', { timeout: 60_000 }, async () => {
    const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))
    const directory = await mkdtemp(join(tmpdir(), 'pagelog-full-'))
    const full = await open('/dev/full', 'w')
    try {
      const args = [launcher, 'broker', '--port', '0', '--data-dir', directory, '--override', 'no.such.setting=1']
      const broker = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', full.fd] })
      const ended = new Promise((resolve) => broker.once('exit', (status, signal) => resolve({ status, signal })))
      await Promise.race([new Promise((resolve) => broker.stdout!.once('data', resolve)), ended])
      broker.kill('SIGTERM')
      expect(await ended).toEqual({ status: 0, signal: null })
    } finally {
      await full.close()
      await rm(directory, { recursive: true, force: true })
    }
  })
})

test('at the end of the process what waits is written, a busy pipe is tried again', () => {
  calls.syncErrors = ['EAGAIN']
  destination.write('a\n')
  destination.flushSync('b\n')
  expect(calls.written).toBe('a\nb\n')
  calls.takeAll()
  expect(calls.written).toBe('a\nb\n')
})

test('what is logged before pino is loaded is kept, and is written in its order', async () => {
  const logger = new LateLogger(destination)
  logger.warn({ a: 1 }, 'first')
  await logger.load()
  logger.info({ b: 2 }, 'second')
  calls.takeAll()
  const lines = calls.written.trim().split('\n')
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { level: 40, a: 1, msg: 'first' },
    { level: 30, b: 2, msg: 'second' },
  ])
})
