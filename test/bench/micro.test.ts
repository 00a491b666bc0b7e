/** Every micro-benchmark runs here with next to nothing to do, so that it still works when somebody wants to measure. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { micros } from '../../bench/micro/catalog.ts'
import { chooseMicros, type MicroOutcome, needsPeers } from '../../bench/micro/micro.ts'
import { scales } from '../../bench/micro/scale.ts'
import { formatMicroTable, type MicroResult } from '../../bench/micro/table.ts'
import { installedStores } from '../../bench/peers/stores.ts'
import { builtFile } from '../../bench/process/package-root.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-micro-test-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Only what is installed already: tests fetch nothing. */
const peers = installedStores()

describe('every benchmark works', () => {
  let count = 0
  for (const { name, subjects } of micros) {
    for (const [subject, run] of Object.entries(subjects)) {
      if (needsPeers(subject) && peers === undefined) continue
      test(`${name} of ${subject}`, async () => {
        const path = join(directory, String(count++))
        mkdirSync(path)
        const outcome = await run({ directory: path, scale: scales.tiny, peers })
        expect(outcome.value).toBeGreaterThan(0)
        expect(Number.isFinite(outcome.value)).toBe(true)
        expect(outcome.calls).toBeGreaterThan(0)
        if (outcome.latencyMs !== null) expect(outcome.latencyMs.p99).toBeGreaterThanOrEqual(outcome.latencyMs.p50)
        rmSync(path, { recursive: true, force: true })
      })
    }
  }
})

describe('choosing', () => {
  test('a name or the beginning of one, at a dot', () => {
    const names = (prefixes: string[]) => chooseMicros(micros, prefixes)?.map(({ name }) => name)
    expect(names([])).toHaveLength(micros.length)
    expect(names(['append.100.os'])).toEqual(['append.100.os.1', 'append.100.os.16', 'append.100.os.256'])
    expect(names(['append.1.os.1', 'encode'])).toEqual(['append.1.os.1', 'encode'])
    expect(names(['append.10'])).toBeUndefined()
    expect(names(['encode', 'nothing'])).toBeUndefined()
  })

  test('no two have the same name', () => {
    expect(new Set(micros.map(({ name }) => name)).size).toBe(micros.length)
  })
})

describe('the table', () => {
  const outcome: MicroOutcome = {
    value: 2_000_000,
    unit: 'rec/s',
    calls: 10,
    marginPercent: 1.25,
    mebibytesPerSecond: 190.7,
    latencyMs: null,
    details: {},
  }
  const row = { name: 'append.100.os.1', title: 'append a batch', error: null }
  const result: MicroResult = {
    schema: 1,
    command: 'npm run bench:micro',
    startedAt: '2026-11-01T00:00:00.000Z',
    commit: 'abc',
    machine: {
      cpu: 'some CPU',
      cores: 2,
      memoryBytes: 1,
      architecture: 'x64',
      kernel: 'linux 6',
      fileSystem: 'ext4',
      freeBytes: 1,
      node: 'v20',
      java: null,
      openFiles: null,
      governor: null,
    },
    scale: scales.quick,
    poolThreads: 8,
    peers: 'lmdb 3',
    complete: true,
    rows: [
      { ...row, subject: 'pagelog', outcome },
      { ...row, subject: 'lmdb batching', outcome: { ...outcome, value: 500_000 } },
      { ...row, subject: 'classic-level', outcome: null, error: 'it broke\nsomewhere' },
    ],
  }

  test('says how many times the others pagelog is, what failed, and where it was measured', () => {
    const text = formatMicroTable(result)
    expect(text).toMatch(/lmdb batching +500 k rec\/s .* 4\.00 ×/)
    expect(text).toMatch(/classic-level +failed .* it broke/)
    expect(text).toContain('2 × some CPU, ext4')
    expect(text).toContain('for orientation only')
  })

  test('of times, less is better', () => {
    const inMs = (value: number): MicroOutcome => ({ ...outcome, unit: 'ms', value })
    const rows = [
      { ...row, subject: 'pagelog', outcome: inMs(10) },
      { ...row, subject: 'lmdb', outcome: inMs(25) },
    ]
    expect(formatMicroTable({ ...result, rows })).toMatch(/lmdb .* 2\.50 ×/)
  })
})

describe('the command', () => {
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [builtFile('bench/micro/cli.ts'), ...args, '--data-dir', directory])

  test('measures in processes of their own, answers in JSON, leaves nothing', async () => {
    const { stdout } = await run('crc.256', 'decode.cursor', '--quick', '--no-peers', '--json')
    const result = JSON.parse(stdout) as MicroResult
    expect(result.complete).toBe(true)
    expect(result.rows.map(({ name, subject }) => `${name} ${subject}`)).toEqual([
      'crc.256 pagelog',
      'decode.cursor pagelog',
    ])
    expect(readdirSync(directory)).toEqual([])
  })

  test('refuses a name that there is none of with status 2', async () => {
    await expect(run('nothing')).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('nothing') })
  })

  test('lists what there is', async () => {
    const { stdout } = await run('--list')
    expect(stdout.trim().split('\n')).toHaveLength(micros.length)
  })
})
