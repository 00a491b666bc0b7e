/** Repairs what lies beside the `.log` files of a log that is open, while appends go on. Batches are left as they are. */
import type { Appender } from './appender.ts'
import { buildTransactionIndex, producersAt } from './log-replay.ts'
import type { LogState } from './log-state.ts'
import { viewOfState } from './log-views.ts'
import { encodeSnapshot } from './producer-snapshots.ts'
import type { RepairReport } from './repair.ts'
import type { Segment } from './segment.ts'
import { unlessCut } from './unless-cut.ts'
import { LogVerifier, type VerifyOptions } from './verify.ts'
import type { VerifyReport } from './verify-report.ts'

export async function verifyOpen(state: LogState, options: VerifyOptions = {}): Promise<VerifyReport> {
  const look = (): Promise<VerifyReport> => new LogVerifier(viewOfState(state), options).run()
  return await unlessCut(state, look(), () => verifyOpen(state, options))
}

/**
 * Appends wait while the active segment is walked, when its indexes are wrong. Errors: PAGELOG_ABORTED, PAGELOG_STORAGE (the
 * log is offline), PAGELOG_DISK_FULL, PAGELOG_CLOSED.
 */
export async function repairOpen(
  state: LogState,
  appender: Pick<Appender, 'exclusive'>,
  options: VerifyOptions = {},
): Promise<RepairReport> {
  const before = await verifyOpen(state, options)
  const rebuilt = before.problemCount === 0 ? [] : await state.structure.run(() => rebuild(state, appender, before))
  const after = before.problemCount === 0 ? before : await verifyOpen(state)
  const { problems: remaining, logEndOffset } = after
  return { before, remaining, removed: [], rebuilt, corrected: 0, logEndOffset }
}

async function rebuild(
  state: LogState,
  appender: Pick<Appender, 'exclusive'>,
  report: VerifyReport,
): Promise<string[]> {
  state.assertOpen()
  const damaged = new Set(report.problems.map(({ path }) => path))
  const rebuilt: string[] = []
  for (const segment of state.segments.all) {
    const name = segment.path.slice(0, -'.log'.length)
    const paths = ['.index', '.timeindex', '.txnindex'].map((suffix) => name + suffix)
    if (damaged.has(segment.path) || !paths.some((path) => damaged.has(path))) continue
    if (segment === state.segments.active) await appender.exclusive(() => rebuildSegment(state, segment))
    else await rebuildSegment(state, segment)
    rebuilt.push(...paths)
  }
  const { snapshots } = state
  for (const offset of snapshots.offsets.filter((one) => damaged.has(snapshots.pathOf(one)))) {
    await snapshots.remove(offset)
    if (offset > state.logEndOffset) continue
    const range = { context: state.context, segments: state.segments.all }
    await snapshots.take(offset, encodeSnapshot(await producersAt(range, snapshots, offset)))
    rebuilt.push(snapshots.pathOf(offset))
  }
  return rebuilt
}

async function rebuildSegment(state: LogState, segment: Segment): Promise<void> {
  await state.pin(segment)
  try {
    await segment.rebuildIndexes()
    const { context, segments, snapshots } = state
    const { nextOffset } = segment
    const index = await buildTransactionIndex({ context, segments: segments.all }, snapshots, segment, nextOffset)
    segment.setTransactionIndex(index, nextOffset)
    await segment.saveIndexes()
    await segment.sync()
  } finally {
    state.unpin(segment)
  }
}
