/** Ctrl-C and SIGTERM as an abort: the first ends the run in order, with what there is; the second ends at once. */
export interface AbortingSignals {
  readonly signal: AbortSignal
  close(): void
}

/** What was given up (an answer that is waited for, say) must not keep us for longer than this once all is written. */
const LEFT_MS_MAX = 1_000

export function abortOnSignals(): AbortingSignals {
  const controller = new AbortController()
  const onSignal = () => {
    // Children are ended by their ids when this process exits.
    if (controller.signal.aborted) process.exit(130)
    process.stderr.write('\nending; once more ends at once\n')
    controller.abort(new Error('interrupted'))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    close: () => {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
      if (controller.signal.aborted) setTimeout(() => process.exit(), LEFT_MS_MAX).unref()
    },
  }
}
