/** Waits until `check` does not throw, as long as a busy machine may take: one second, the usual, is no time under load. */
import { vi } from 'vitest'

const TIMEOUT_MS = 15_000
const INTERVAL_MS = 10

export async function waitFor<T>(check: () => T | Promise<T>): Promise<T> {
  return await vi.waitFor(check, { timeout: TIMEOUT_MS, interval: INTERVAL_MS })
}
