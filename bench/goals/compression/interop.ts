/** Interoperation with other clients is a matter of tests: they are run now, and their counts told. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Child } from '../../process/children.ts'
import { packageRoot } from '../../process/package-root.ts'
import type { GoalContext } from '../goal.ts'

const TESTS = 'test/peers'
/** Files of the tier whose subject is compression. */
const ABOUT_CODECS = /(?:codec|compress|golden|zstd)[^/]*\.compat\.ts$/

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly { readonly name: string; readonly status: string }[]
}

export async function interopPart(context: GoalContext): Promise<void> {
  if (!existsSync(join(packageRoot, TESTS))) throw new Error('the tests are in the repository only')
  const files = readdirSync(join(packageRoot, TESTS)).filter((name) => ABOUT_CODECS.test(name))
  for (const file of files.sort()) {
    context.signal.throwIfAborted()
    context.progress.begin(`interop: ${file}`)
    const output = join(context.scratch.directory('interop'), 'report.json')
    const vitest = join(packageRoot, 'node_modules/vitest/vitest.mjs')
    const config = ['--config', 'vitest.peers.config.ts']
    const reporter = ['--reporter=json', `--outputFile=${output}`]
    const child = new Child('vitest', {
      command: process.execPath,
      args: [vitest, 'run', ...config, ...reporter, join(TESTS, file)],
      cwd: packageRoot,
    })
    const stop = () => void child.end()
    context.signal.addEventListener('abort', stop, { once: true })
    const { code } = await child.exited
    context.signal.removeEventListener('abort', stop)
    const report = existsSync(output) ? (JSON.parse(readFileSync(output, 'utf8')) as Report) : undefined
    const { numPassedTests = 0, numFailedTests = 0, numPendingTests = 0 } = report ?? {}
    const broken = report?.testResults.filter(({ status }) => status !== 'passed').length ?? 1
    context.report({
      id: `interop.${file.replace('.compat.ts', '')}`,
      pass: code === 0 && numPassedTests > 0 && numFailedTests === 0 && broken === 0,
      measured: `${numPassedTests} passed, ${numFailedTests} failed${numPendingTests > 0 ? `, ${numPendingTests} not run` : ''}`,
      goal: 'all pass',
      how: `vitest run ${config.join(' ')} ${TESTS}/${file}${report === undefined ? `: ${child.tail.split('\n').at(-1)}` : ''}`,
    })
  }
}
