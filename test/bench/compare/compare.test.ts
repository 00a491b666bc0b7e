/** Comparison of results: changes, noise bands, rules, exit codes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { compareCommand } from '../../../bench/compare/command.ts'
import { compare } from '../../../bench/compare/compare.ts'
import { isBeyond, noiseBand } from '../../../bench/compare/noise.ts'
import { parseRules } from '../../../bench/compare/rules.ts'
import type { LinkedinResult } from '../../../bench/linkedin/result.ts'
import { UsageError } from '../../../bench/options.ts'
import type { BenchResult } from '../../../bench/result.ts'
import { loadResult } from '../sample-load.ts'
import { result } from '../sample-result.ts'
import { schemaErrors } from '../suite-schema.ts'

describe('noise bands', () => {
  /** Two sets of runs of the same thing, values of a log-normal spread, many times: how often the band holds. */
  test.each([2, 3, 5, 10])(
    'two times %d runs of the same thing differ by less than the band, nine times out of ten',
    (runs) => {
      let x = 12345
      const uniform = () => {
        x ^= x << 13
        x ^= x >>> 17
        x ^= x << 5
        return (x >>> 0) / 0x1_0000_0000
      }
      const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
      const middle = (values: number[]) => {
        const sorted = [...values].sort((a, b) => a - b)
        return (sorted[(runs - 1) >> 1]! + sorted[runs >> 1]!) / 2
      }
      let inside = 0
      const repeats = 2000
      for (let i = 0; i < repeats; i++) {
        const [a, b] = [0, 1].map(() => Array.from({ length: runs }, () => 1e6 * Math.exp(normal() * 0.1))) as [
          number[],
          number[],
        ]
        if (!isBeyond(middle(b) / middle(a) - 1, noiseBand(a, b)!)) inside++
      }
      expect(inside / repeats).toBeGreaterThan(0.93)
      expect(inside / repeats).toBeLessThan(0.98)
    },
  )

  test('single runs and zeros cannot tell; runs that are all the same have the least band', () => {
    expect(noiseBand([1], [2])).toBeNull()
    expect(noiseBand([1, 0], [2, 2])).toBeNull()
    expect(noiseBand([5, 5, 5], [5, 5, 5])).toBe(0.005)
    expect(isBeyond(-0.5, 0.9)).toBe(true)
    expect(isBeyond(-0.4, 0.9)).toBe(false)
  })
})

describe('rules', () => {
  test('are read', () => {
    expect(parseRules('p99>+10%, rate<-5%')).toMatchObject([
      { measure: 'p99', direction: '>', change: 0.1 },
      { measure: 'rate', direction: '<', change: -0.05 },
    ])
  })

  test.each(['', 'p99', 'p99>10', 'p98>1%', 'rate=1%'])('%j is refused', (text) => {
    expect(() => parseRules(text)).toThrow(UsageError)
  })
})

describe('two results', () => {
  const before = loadResult([100, 101, 99], [10, 10.1, 9.9])

  test('the same twice is the same', () => {
    const comparison = compare(before, before)
    expect(comparison.lines.map(({ verdict }) => verdict)).toEqual(['same', 'same', 'same', 'same', 'same'])
    expect(comparison).toMatchObject({ notes: [], missing: [], failed: [] })
    expect(schemaErrors(comparison)).toEqual([])
  })

  test('more records are better, longer latencies worse; a rule fails beyond bound and noise only', () => {
    const after = loadResult([120, 121, 119], [12, 12.1, 11.9])
    const { lines, failed } = compare(before, after, parseRules('p99>+10%,p50>+50%,rate<-1%'))
    expect(lines.find(({ measure }) => measure === 'rate')).toMatchObject({ verdict: 'better', runs: [3, 3] })
    expect(lines.find(({ measure }) => measure === 'p99')).toMatchObject({ verdict: 'worse' })
    expect(failed.map(({ rule }) => rule)).toEqual(['p99>+10%'])
  })

  test('noise excuses, and single runs are held by the bound alone', () => {
    const noisy = loadResult([100, 100, 100], [6, 12, 24])
    expect(compare(before, noisy, parseRules('p99>+10%')).failed).toEqual([])
    const one = compare(loadResult([100], [10]), loadResult([100], [12]), parseRules('p99>+10%'))
    expect(one.failed).toHaveLength(1)
    expect(one.lines.every(({ verdict, band }) => verdict === 'unknown' && band === null)).toBe(true)
  })

  test('what differs around the measurement is said; what one of them lacks too', () => {
    const machine = { ...before.machine, cores: 64 }
    const { notes } = compare(before, { ...before, machine, complete: false })
    expect(notes.join('\n')).toMatch(/different CPU[\s\S]*incomplete/)
    const paced = (congestionControl: string) => ({ ...before, machine: { ...before.machine, congestionControl } })
    const { congestionControl: _, ...older } = before.machine
    expect(compare(paced('bbr'), paced('cubic')).notes).toContain('different congestion control: bbr, then cubic')
    // What an older result does not name is no difference.
    expect(compare({ ...before, machine: older }, paced('cubic')).notes.join('\n')).not.toContain('congestion control')
    const { lines, missing } = compare(before, result)
    expect(lines).toEqual([])
    expect(missing.length).toBeGreaterThan(0)
  })

  test('results of the tests are compared by test and broker', () => {
    const { lines } = compare(result, result)
    expect(lines.length).toBeGreaterThan(0)
    expect(lines[0]!.what).toContain(' · ')
  })
})

const whole = (...results: LinkedinResult['results']): LinkedinResult => {
  const { version, startedAt, finishedAt, complete, orientation, command, commit, machine } = result
  const facts = { version, startedAt, finishedAt, complete, orientation, command, commit, machine }
  const own = { quick: false, tests: [], missing: [], hardware2014: '', results }
  return { kind: 'linkedin-2014', schemaVersion: 1, ...facts, ...own }
}

describe('the tests of 2014', () => {
  const of = (batchBytes: number, network?: string) => ({
    ...result,
    settings: { ...result.settings, batchBytes, ...(network === undefined ? {} : { network }) },
  })

  test('are compared by test, broker and settings', () => {
    const { lines, missing, notes } = compare(whole(of(8196), of(65_536)), whole(of(65_536)))
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.every(({ what, change }) => what.includes('batch 65536') && change === 0)).toBe(true)
    expect(missing.every((line) => line.includes('batch 8196') && line.endsWith('not in the second'))).toBe(true)
    expect(notes).toContain('different settings')
  })

  test('other links are other settings', () => {
    expect(compare(of(1, 'loopback'), of(1, '1gbit')).notes).toContain('different settings')
    expect(compare(of(1, '1gbit'), of(1, '1gbit')).notes).not.toContain('different settings')
  })
})

describe('the command', () => {
  let directory = ''
  const old = { ...result, schemaVersion: 1 } as unknown as BenchResult
  const files = {
    ...{ a: loadResult([100, 101, 99], [10, 10.1, 9.9]), b: loadResult([50, 51, 49], [30, 30.1, 29.9]) },
    ...{ tests: result, linkedin: whole(result), 'old-tests': old, 'old-linkedin': whole(old) },
    'other-kind': { ...loadResult([1], [1]), kind: 'other' },
  }
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'pagelog-compare-test-'))
    for (const [name, result] of Object.entries(files)) writeFileSync(join(directory, name), JSON.stringify(result))
    writeFileSync(join(directory, 'no-result'), '{}')
    writeFileSync(join(directory, 'no-json'), 'x')
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  async function run(...argv: string[]): Promise<{ status: number; out: string; error: string }> {
    let out = ''
    let error = ''
    const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text
      return true
    })
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      error += text
      return true
    })
    try {
      const status = await compareCommand(argv.map((one) => one.replace('@', `${directory}/`)))
      return { status, out, error }
    } finally {
      stdout.mockRestore()
      stderr.mockRestore()
    }
  }

  test('a table, status 0; status 1 with a rule that is broken', async () => {
    const plain = await run('@a', '@b')
    expect(plain.status).toBe(0)
    expect(plain.out).toMatch(/rate .*100 rec\/s .*50 rec\/s .*−50.0 %.*worse/)
    const held = await run('@a', '@b', '--fail-if', 'p99>+10%')
    expect(held.status).toBe(1)
    expect(held.out).toContain('FAILED p99>+10%: load, p99 +200.0 %')
  })

  test.each(['tests', 'linkedin'])('%s of today are read', async (name) => {
    expect(await run(`@${name}`, `@${name}`)).toMatchObject({ status: 0, error: '' })
  })

  test.each(['old-tests', 'old-linkedin'])('%s are of another version', async (name) => {
    const { status, error } = await run(`@${name}`, `@${name}`)
    expect(status).toBe(2)
    expect(error).toContain('another version')
  })

  test('JSON', async () => {
    const { status, out } = await run('@a', '@b', '--json', '--fail-if', 'rate<-10%')
    expect(status).toBe(1)
    expect(schemaErrors(JSON.parse(out))).toEqual([])
  })

  test.each([
    [['@a']],
    [['@a', '@b', '@a']],
    [['@a', '@none']],
    [['@a', '@no-json']],
    [['@a', '@no-result']],
    [['@a', '@other-kind']],
    [['@a', '@b', '--fail-if', 'x']],
  ])('%j is refused with status 2', async (argv) => {
    const { status, error } = await run(...argv)
    expect(status).toBe(2)
    expect(error).toContain('pagelog bench compare')
  })
})
