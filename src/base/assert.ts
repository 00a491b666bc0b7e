/**
 * Assertions: they state invariants of our own code and stay on in production. Client input must never be able to
 * reach one; validate it at the edge instead.
 */

/** A broken invariant: the process must stop, its state can no longer be trusted. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
  readonly code = 'PAGELOG_INVARIANT'
}

/** Throws {@link InvariantError} unless `condition` holds. Keep `message` a constant so that nothing is built when it does. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}

/**
 * Ends the process if `error` is a broken invariant: it is thrown where no promise and no handler can catch it. For
 * places that turn whatever was thrown into an answer.
 */
export function surfaceInvariant(error: unknown): void {
  if (!(error instanceof InvariantError)) return
  queueMicrotask(() => {
    throw error
  })
}
