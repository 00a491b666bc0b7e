/** What is a matter of tests: state that a broker must refuse, and faults. */
import type { GoalContext } from '../goal.ts'
import { reportTests } from '../test-line.ts'

/** Another cluster's directory, a node id in use, a damaged metadata journal, metadata that cannot be reached. */
const BAD_STATE = [
  'test/broker/membership.test.ts',
  'test/metadata/embedded.test.ts',
  'test/metadata/etcd-version.test.ts',
  'test/supervisor/bad-start.crash.ts',
  'test/supervisor/cluster-supervisor.test.ts',
  'test/supervisor/real-cluster.crash.ts',
]

export function badState(context: GoalContext): Promise<void> {
  return reportTests(context, { id: 'bad-state', tests: BAD_STATE })
}

export function faults(context: GoalContext): Promise<void> {
  return reportTests(context, { id: 'faults', tests: ['test/faults/cluster/'], config: 'vitest.faults.config.ts' })
}
