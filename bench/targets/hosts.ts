/** Brokers that are there already, on whichever machines: reached by their addresses, neither watched nor stopped. */
import { Admin } from '../../src/client/index.ts'
import { withResolvers } from '../process/resolvers.ts'
import type { AnyTarget } from './target.ts'

const REACH_MS_MAX = 8_000

/** Rejects, saying where, when nobody who speaks Kafka's protocol answers there: better now than test by test. */
export async function reachHosts(bootstrap: string, signal: AbortSignal): Promise<void> {
  const admin = new Admin({ bootstrap, defaultApiTimeoutMs: REACH_MS_MAX, requestTimeoutMs: REACH_MS_MAX })
  const aborted = withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([admin.describeCluster(), aborted.promise])
  } catch (error) {
    signal.throwIfAborted()
    throw new Error(`no broker answers at ${bootstrap} within ${REACH_MS_MAX / 1000} s: ${(error as Error).message}`)
  } finally {
    signal.removeEventListener('abort', onAbort)
    await admin.close()
  }
}

/** A broker that is gone by then must not hold up the end. */
const CLEAN_MS_MAX = 10_000

export function hostsTarget(bootstrap: string): AnyTarget {
  const topics = new Set<string>()
  return {
    name: 'hosts',
    bootstrap,
    dataDirectory: null,
    brokers: [],
    topics,
    settings: {},
    resetMetrics: async () => {},
    loopDelays: async () => [],
    failure: new Promise<never>(() => {}),
    close: () => deleteTopics(bootstrap, [...topics]),
  }
}

/** What a run that failed, or one that others read, has left. */
async function deleteTopics(bootstrap: string, topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return
  const admin = new Admin({ bootstrap, defaultApiTimeoutMs: CLEAN_MS_MAX, requestTimeoutMs: CLEAN_MS_MAX })
  try {
    await admin.deleteTopics(topics)
  } catch {
    // The brokers are gone, or refuse: whoever runs them sees the topics named bench-….
  } finally {
    await admin.close()
  }
}
