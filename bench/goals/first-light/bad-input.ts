/** Bad input is a matter of tests. */
import type { GoalContext } from '../goal.ts'
import { reportTests } from '../test-line.ts'

export function badInput(context: GoalContext): Promise<void> {
  return reportTests(context, { id: 'bad-input', tests: ['test/broker/bad-input'] })
}
