/**
 * zstd where it is at hand: in the newer Nodes, which npm brings, and on this one with the optional package, beside a copy
 * of ours as a program's node_modules would have it. The tests of compression run there once more, and those with other
 * clients in one of them.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Child, runToEnd } from '../../bench/process/children.ts'
import { packageRoot } from '../../bench/process/package-root.ts'
import { made } from './made.ts'

/** They look into compressed batches; all of them find out whether zstd is there. */
const SUITES = [
  'test/record/compression',
  'test/record/legacy',
  'test/broker/compressed-produce.test.ts',
  'test/client/compression-faults.test.ts',
  'test/log/compressed-reading.test.ts',
  'test/log/compaction-compressed.test.ts',
]
const PEERS = ['codec-clients', 'compressed-records', 'compressed-topics', 'compression-frames', 'golden-batches']
const MINUTES = 60_000

let scratch: string

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'pagelog-zstd-'))
})

afterAll(() => {
  if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true })
})

interface Counts {
  readonly passed: number
  readonly failures: readonly string[]
  readonly skipped: number
}

interface Report {
  readonly numPassedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly failureMessages?: readonly string[] }[]
  }[]
}

/** Runs tests with another Node, or in another place. */
async function runTests(
  title: string,
  node: readonly string[],
  args: readonly string[],
  cwd = packageRoot,
): Promise<Counts> {
  const path = join(scratch, `${title}.json`)
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', ...args, '--reporter=json', `--outputFile.json=${path}`]
  // What this run's own runner says to its workers is not for theirs.
  const own = Object.keys(process.env).filter((name) => name.startsWith('VITEST') || name.startsWith('npm_'))
  const unset = own.flatMap((name) => ['-u', name])
  const set = ['PAGELOG_TEST_NEEDS_ZSTD=1', 'PAGELOG_TEST_CODECS=zstd']
  const child = new Child(title, { command: 'env', args: [...unset, ...set, ...node, ...vitest], cwd })
  await child.exited
  if (!existsSync(path)) return { passed: 0, failures: [child.tail], skipped: 0 }
  const report = JSON.parse(readFileSync(path, 'utf8')) as Report
  const failures = report.testResults.flatMap(({ message, assertionResults }) => [
    ...(message === '' ? [] : [message]),
    ...assertionResults.flatMap(({ fullName, failureMessages = [] }) =>
      failureMessages.map((failure) => `${fullName}: ${failure}`),
    ),
  ])
  return { passed: report.numPassedTests, failures, skipped: report.numPendingTests + report.numTodoTests }
}

const npmNode = (major: number): string[] => ['npx', '-y', '-p', `node@${major}`, 'node']

test.each([
  [24, SUITES],
  [22, SUITES.slice(0, 2)],
] as const)(
  'Node %i passes the tests of compression with its own zstd',
  { timeout: 4 * MINUTES },
  async (major, suites) => {
    const { passed, ...rest } = await runTests(`node-${major}`, npmNode(major), suites)
    expect(rest).toEqual({ failures: [], skipped: 0 })
    expect(passed).toBeGreaterThan(200)
  },
)

/** The package is compiled where there is no binary of it; the headers of Node are mostly beside it. */
function headersOfThisNode(): Record<string, string> {
  const prefix = dirname(dirname(process.execPath))
  const areHere = process.env.npm_config_nodedir === undefined && existsSync(join(prefix, 'include/node/node_api.h'))
  return areHere ? { npm_config_nodedir: prefix } : {}
}

test('this Node passes them with the package zstd-napi', { timeout: 8 * MINUTES }, async () => {
  const pinned = fileURLToPath(new URL('zstd/package.json', import.meta.url))
  const installed = await made('zstd-napi', [pinned], async (directory) => {
    copyFileSync(pinned, join(directory, 'package.json'))
    const args = ['install', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error']
    await runToEnd('npm (fetching zstd-napi)', { command: 'npm', args, cwd: directory, env: headersOfThisNode() })
  })
  const copy = join(scratch, 'program/pagelog')
  mkdirSync(copy, { recursive: true })
  for (const name of ['src', 'dist', 'bench', 'test', 'build', 'package.json', 'vitest.config.ts']) {
    cpSync(join(packageRoot, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'))
  symlinkSync(join(installed, 'node_modules'), join(scratch, 'program/node_modules'))
  const { passed, ...rest } = await runTests('zstd-napi', [process.execPath], SUITES, copy)
  expect(rest).toEqual({ failures: [], skipped: 0 })
  expect(passed).toBeGreaterThan(300)
})

test('with other clients zstd goes both ways, through our broker and Apache Kafka', {
  timeout: 8 * MINUTES,
}, async () => {
  const files = PEERS.map((name) => `test/peers/${name}.compat.ts`)
  const { passed, ...rest } = await runTests('peers', npmNode(24), ['--config', 'vitest.peers.config.ts', ...files])
  expect(rest).toEqual({ failures: [], skipped: 0 })
  expect(passed).toBeGreaterThan(50)
})
