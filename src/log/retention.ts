/**
 * Retention, by whole segments from the oldest on, as Kafka does it: what lies before the start of the log, what
 * `retention.bytes` no longer allows, what is older than `retention.ms` by the largest timestamp of the segment. The
 * active segment goes only as a whole, and is sealed first. What is not on enough replicas yet stays. Without `delete` in `cleanup.policy` only the first holds.
 */
import { channels, publish } from './diagnostics.ts'
import type { LogState } from './log-state.ts'
import type { Segment } from './segment.ts'
import { assertCanChange, type EndOptions, raiseLogStart, sealActive, type Trimmed, type Writers } from './trimming.ts'

/** See `Log.applyRetention`. */
export function applyRetention(state: LogState, writers: Writers, options: EndOptions = {}): Promise<Trimmed> {
  return state.structure.run(async () => {
    assertCanChange(state, options.signal)
    let count = await countExpired(state)
    if (count === state.segments.count) {
      await sealActive(state, writers.appender)
      count = Math.min(await countExpired(state), state.segments.count - 1)
    }
    if (count === 0) return { logStartOffset: state.logStartOffset, segments: 0, bytes: 0 }
    const boundary = state.segments.all[count]!.baseOffset
    const trimmed = await raiseLogStart(state, writers.flusher, Math.max(boundary, state.logStartOffset))
    state.logger.info({ directory: state.context.directory, ...trimmed }, 'retention removed segments')
    publish(channels.retention, () => ({ directory: state.context.directory, ...trimmed }))
    return trimmed
  })
}

/** Leading segments that are to go; all of them only when the active one holds something. */
async function countExpired(state: LogState): Promise<number> {
  const { segments, logStartOffset, context } = state
  const { retentionBytes, retentionMs, cleanupPolicy } = context.settings
  const deletes = cleanupPolicy.includes('delete')
  let excess = deletes && retentionBytes >= 0 ? segments.size - retentionBytes : -1
  const oldest = deletes && retentionMs >= 0 ? context.clock.nowMs() - retentionMs : Number.NEGATIVE_INFINITY
  let count = 0
  for (const segment of segments.all) {
    const isActive = segment === segments.active
    if ((isActive && segment.size === 0) || segment.nextOffset > state.highWatermark) break
    const isBefore = !isActive && segment.nextOffset <= logStartOffset
    const isExpired = isBefore || excess >= segment.size || (await isOlder(state, segment, oldest))
    if (!isExpired) break
    excess -= segment.size
    count++
  }
  return count
}

/** Records without timestamps are as old as the file. */
async function isOlder(state: LogState, segment: Segment, timestampMs: number): Promise<boolean> {
  if (timestampMs === Number.NEGATIVE_INFINITY) return false
  if (segment.size === 0) return true // compaction has left nothing in it
  await state.loadTimes(segment)
  if (segment.maxTimestamp >= 0) return segment.maxTimestamp < timestampMs
  const status = await state.context.disk.status(segment.path)
  return status !== undefined && status.modifiedMs < timestampMs
}
