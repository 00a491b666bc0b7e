/** A log as its readers see it: up to the high watermark, whoever moves that. */
import type { Log } from './log.ts'
import type { ReadableLog } from './log-reader.ts'
import type { LogState } from './log-state.ts'

export function readableOf(log: Log, state: LogState): ReadableLog {
  return {
    path: log.directory,
    slice: (offset, maxBytes, options) => {
      const { highWatermark: endOffset } = state
      return log.slice(offset, maxBytes, endOffset < state.logEndOffset ? { ...options, endOffset } : options)
    },
    logStartOffset: () => log.logStartOffset,
    logEndOffset: () => log.highWatermark,
    cuts: () => state.cuts,
    assertOpen: () => state.assertOpen(),
    offsetForTime: (timestampMs) => log.offsetForTime(timestampMs),
    onChange: (listener) => {
      const unsubscribes = [log.onAppend(listener), log.replica.onCommit(listener), state.onStop(listener)]
      return () => {
        for (const unsubscribe of unsubscribes) unsubscribe()
      }
    },
    soon: (callback) => state.context.clock.soon(callback),
    opening: state,
  }
}
