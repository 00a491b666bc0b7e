/** A benchmark of a cluster that is interrupted or killed leaves no process behind. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../../bench/process/package-root.ts'
import { startTimeOf } from '../../bench/process/start-time.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-bench-test-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** The brokers that a run wrote down. */
function brokersOf(data: string): number[] {
  const files = readdirSync(data).map((name) => join(data, name, 'children'))
  const lines = files.flatMap((file) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []))
  return lines.map((line) => Number.parseInt(line, 10))
}

test.each(['SIGINT', 'SIGKILL'] as const)('%s', { timeout: 120_000 }, async (signal) => {
  const data = join(directory, signal)
  mkdirSync(data)
  const phases = ['--warm-up', '60', '--seconds', '60', '--records', '200000', '--quick']
  const places = ['--data-dir', data, '--out', join(directory, 'out')]
  const command = [join(packageRoot, 'bin/pagelog.cjs'), 'bench', '--tests', 'single-producer-3x-async']
  const bench = spawn(process.execPath, [...command, ...phases, ...places], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  bench.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = new Promise<number | null>((resolve) => bench.once('exit', resolve))
  try {
    await expect.poll(() => brokersOf(data).length, { timeout: 60_000 }).toBe(3)
    const brokers = brokersOf(data)
    const place = join(data, readdirSync(data)[0]!, 'pagelog-0', 'broker-1')
    const isServing = () => existsSync(place) && readdirSync(place).some((name) => name.startsWith('bench-'))
    await expect.poll(isServing, { timeout: 60_000 }).toBe(true)
    bench.kill(signal)
    expect(await ended).toBe(signal === 'SIGINT' ? 1 : null)
    await expect.poll(() => brokers.filter((pid) => startTimeOf(pid) !== undefined), { timeout: 60_000 }).toEqual([])
    if (signal === 'SIGINT') expect(readdirSync(data), said).toEqual([])
  } finally {
    bench.kill('SIGKILL')
  }
})
