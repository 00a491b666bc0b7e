import { describe, expect, test } from 'vitest'
import { readCommandLine, UsageError } from '../../bench/options.ts'
import { allTests } from '../../bench/result.ts'

describe('command line of the benchmark', () => {
  test('nothing said gives the settings of the goals', () => {
    expect(readCommandLine([])?.settings).toMatchObject({
      tests: allTests,
      valueBytes: 100,
      records: 10_000_000,
      batchBytes: 65_536,
      lingerMs: 5,
      acks: 1,
      partitions: 6,
      runs: 3,
      against: null,
    })
  })

  test('large values mean fewer records, so that a run stays about a gigabyte', () => {
    expect(readCommandLine(['--size', '10,000'])?.settings.records).toBe(100_000)
  })

  test('tests come in their own order, each once', () => {
    const { tests } = readCommandLine(['--tests', 'end-to-end-1x,single-producer,end-to-end-1x'])!.settings
    expect(tests).toEqual(['single-producer', 'end-to-end-1x'])
  })

  test('quick is one run', () => {
    const commandLine = readCommandLine(['--quick', '--acks', 'all'])
    expect(commandLine?.quick).toBe(true)
    expect(commandLine?.settings).toMatchObject({ runs: 1, acks: -1 })
  })

  test('help asks for nothing else', () => {
    expect(readCommandLine(['--help'])).toBeUndefined()
  })

  test.each([
    ['--records', 'many'],
    ['--records', '0'],
    ['--records', '1.5'],
    ['--size', '-1'],
    ['--acks', '2'],
    ['--tests', 'nonsense'],
    ['--tests', ''],
    ['--against', 'rabbit'],
    ['--unknown', '1'],
    ['stray', ''],
  ])('%s %s is refused', (...argv) => {
    expect(() => readCommandLine(argv)).toThrow(UsageError)
  })
})
