import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../bench/process/package-root.ts'
import type { BenchResult, RunResult } from '../../bench/result.ts'
import { workloads } from '../../bench/workloads.ts'

const run = promisify(execFile)

/** The command as users start it, with very little to do. */
describe('pagelog bench', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'pagelog-bench-test-'))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  test.each([
    [
      'of one broker',
      ['single-producer', 'single-consumer', 'three-consumers', 'producer-and-consumer-1x', 'end-to-end-1x'],
    ],
    ['of three', ['three-producers-3x-async', 'throughput-vs-stored', 'end-to-end-3x']],
  ])(
    'measures tests %s, verifies what was stored, writes a valid result and a report, leaves nothing',
    async (_, tests) => {
      const out = join(directory, tests[0]!)
      // Enough that a follower is told of the measured phase before that is over: some 50 ms of records.
      const small = [
        '--quick',
        '--records',
        '200000',
        '--warm-up',
        '0.05',
        '--latency-records',
        '50',
        '--seconds',
        '5',
        '--stored',
        '60MB',
      ]
      const places = ['--data-dir', join(directory, 'data'), '--out', out]
      const command = [join(packageRoot, 'bin/pagelog.cjs'), 'bench', '--tests', tests.join(','), ...small, ...places]
      const { stdout } = await run(process.execPath, command)
      expect(stdout).toContain(tests[0])

      const result = JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')) as BenchResult
      const schema = JSON.parse(readFileSync(join(packageRoot, 'bench/result.schema.json'), 'utf8')) as object
      const validate = new Ajv({ allowUnionTypes: true }).compile(schema)
      validate(result)
      expect(validate.errors).toBeNull()
      expect(result).toMatchObject({ complete: true, orientation: true, failures: [] })
      expect(result.results.map(({ test }) => test)).toEqual(tests)
      for (const { test, runs } of result.results) {
        const only = runs[0] as RunResult
        expect(only.verified).toBe(true)
        expect(only.records).toBeGreaterThan(0)
        expect(only.errors).toBe(0)
        const { brokers } = workloads[test]
        const roles = only.processes.map(({ role }) => role)
        expect(roles.slice(0, brokers)).toEqual(brokers === 1 ? ['broker'] : ['broker 1', 'broker 2', 'broker 3'])
        if (process.platform === 'linux') expect(only.io?.writtenBytes).toBeGreaterThanOrEqual(0)
        if (test.includes('consumer')) expect(only.io?.pageCacheShare).toBeGreaterThanOrEqual(0)
        if (test.startsWith('end-to-end')) expect(readdirSync(out)).toContain(`${test}-pagelog-1.hlog`)
        if (brokers === 1) expect(only.replication).toBeNull()
        else expect(only.replication).toMatchObject({ lagBytes: expect.any(Number), equalAfterMs: expect.any(Number) })
      }
      expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('</html>')
      expect(readdirSync(join(directory, 'data'))).toEqual([])
    },
    120_000,
  )

  test('a wrong option is refused with status 2 and the usage', async () => {
    const wrong = run(process.execPath, [join(packageRoot, 'bin/pagelog.cjs'), 'bench', '--records', 'x'])
    await expect(wrong).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('--records x') })
  })
})
