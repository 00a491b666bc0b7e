/** Bad input is a matter of tests: this runs them and says how they went. */
import { join } from 'node:path'
import { Child } from '../../process/children.ts'
import { packageRoot } from '../../process/package-root.ts'
import type { GoalContext } from '../goal.ts'

const TESTS = 'test/broker/bad-input'

export async function badInput(context: GoalContext): Promise<void> {
  const child = new Child('vitest', {
    command: process.execPath,
    args: [join(packageRoot, 'node_modules/vitest/vitest.mjs'), 'run', TESTS, '--reporter=default'],
    cwd: packageRoot,
    env: { NO_COLOR: '1', CI: 'true' },
  })
  const stop = () => void child.end()
  context.signal.addEventListener('abort', stop, { once: true })
  const { code } = await child.exited
  const passed = /Tests\s+(.*)$/m.exec(child.tail)?.[1]?.trim() ?? 'no test ran'
  context.report({
    id: 'bad-input',
    pass: code === 0 && /^\d+ passed/.test(passed),
    measured: passed,
    goal: 'all pass, none skipped',
    how: `vitest run ${TESTS}`,
  })
}
