/** Waiting with time-outs and AbortSignals on the injected clock. */
import { PagelogError } from '../base/index.ts'
import type { Clock } from '../env/index.ts'

/** What every waiting call takes. */
export interface WaitOptions {
  /** Ends the wait with PAGELOG_ABORTED, its reason as the cause; what was under way goes on. */
  readonly signal?: AbortSignal | undefined
}

export function abortedError(signal: AbortSignal): PagelogError {
  return new PagelogError('PAGELOG_ABORTED', 'the wait was aborted', { cause: signal.reason })
}

/** `promise`, or the abort if that comes first. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.reject(abortedError(signal))
  }
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortedError(signal))
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Resolves after `delayMs`. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve)
  })
}

/** `promise`, or PAGELOG_TIMED_OUT with `text` after `timeoutMs`. */
export function orTimedOut<T>(clock: Clock, promise: Promise<T>, timeoutMs: number, text: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () =>
      reject(new PagelogError('PAGELOG_TIMED_OUT', `${text} within ${timeoutMs} ms`, { retriable: true })),
    )
    promise.then(resolve, reject).finally(() => timer.cancel())
  })
}
