/** What segment.jitter.ms takes off segment.ms: another part for each segment, and always the same for that. */
import type { LogSettings } from './log-settings.ts'

export function rollJitterMs(path: string, { segmentJitterMs, segmentMs }: LogSettings): number {
  if (segmentJitterMs === 0) return 0
  let hash = 0x811c9dc5 // FNV-1a
  for (let index = 0; index < path.length; index++) hash = Math.imul(hash ^ path.charCodeAt(index), 0x01000193)
  return (hash >>> 0) % Math.min(segmentJitterMs, segmentMs)
}
