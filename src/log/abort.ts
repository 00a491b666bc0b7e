/** AbortSignal: what a call that was aborted throws, and a promise that gives up waiting. No listener outlives its call. */
import { PagelogError } from '../base/index.ts'

/** PAGELOG_ABORTED with the signal's reason as its cause. */
export function abortError(signal: AbortSignal, message: string): PagelogError {
  return new PagelogError('PAGELOG_ABORTED', message, { cause: signal.reason })
}

/** `promise`, or a rejection with PAGELOG_ABORTED as soon as `signal` aborts; what `promise` stands for goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, message: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortError(signal, message))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
