/** A line for what is a matter of tests: this runs them and says how they went. */
import { join } from 'node:path'
import { Child } from '../process/children.ts'
import { packageRoot } from '../process/package-root.ts'
import type { GoalContext } from './goal.ts'

export interface TestLine {
  readonly id: string
  /** Paths, or beginnings of them. */
  readonly tests: readonly string[]
  /** Of vitest, where it is not that of the fast tests. */
  readonly config?: string
}

export async function reportTests(context: GoalContext, { id, tests, config }: TestLine): Promise<void> {
  const options = config === undefined ? [] : ['--config', config]
  const child = new Child('vitest', {
    command: process.execPath,
    args: [join(packageRoot, 'node_modules/vitest/vitest.mjs'), 'run', ...options, ...tests, '--reporter=default'],
    cwd: packageRoot,
    env: { NO_COLOR: '1', CI: 'true' },
  })
  const stop = () => void child.end()
  context.signal.addEventListener('abort', stop, { once: true })
  const { code } = await child.exited
  context.signal.removeEventListener('abort', stop)
  const passed = /Tests\s+(.*)$/m.exec(child.tail)?.[1]?.trim() ?? 'no test ran'
  context.report({
    id,
    pass: code === 0 && /^\d+ passed/.test(passed) && !/skipped|todo/.test(passed),
    measured: passed,
    goal: 'all pass, none skipped',
    how: ['vitest run', ...options, ...tests].join(' '),
  })
}
