/**
 * Reads V8's .cpuprofile. Self time is split by what the innermost frame was:
 *
 *   javaScript        a frame with a source: the broker's own code and node's libraries; V8's builtins that have no
 *                     frame of their own (map lookups, typed array copies inlined) count to their caller
 *   garbageCollector  `(garbage collector)`
 *   native            a frame without source: functions of node and of the addon called from JavaScript, and so the
 *                     kernel's work in them: writev, sendfile, the CRC
 *   program           `(program)`: V8 and libuv with no JavaScript on the stack, the kernel's work in them too (epoll,
 *                     recv into a buffer)
 *   idle              `(idle)`
 */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  /** Monotonic clock, microseconds. */
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Microseconds. */
export interface SelfTimes {
  readonly javaScript: number
  readonly garbageCollector: number
  readonly native: number
  readonly program: number
  readonly idle: number
  readonly total: number
  /** The functions with most self time, `name 12 %`. */
  readonly top: readonly string[]
}

type Kind = Exclude<keyof SelfTimes, 'total' | 'top'>

const TOP = 6

/** Samples between the two times only: start-up and shutdown are left out. */
export function selfTimes(profile: CpuProfile, fromMicros: number, toMicros: number): SelfTimes {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  const times: Record<Kind, number> = { javaScript: 0, garbageCollector: 0, native: 0, program: 0, idle: 0 }
  const byFunction = new Map<string, number>()
  let at = profile.startTime
  for (let i = 0; i < profile.samples.length; i++) {
    const elapsed = Math.max(0, profile.timeDeltas[i + 1] ?? 0)
    at += Math.max(0, profile.timeDeltas[i] ?? 0)
    const frame = frames.get(profile.samples[i]!)
    if (frame === undefined || at < fromMicros || at >= toMicros) continue
    const kind = kindOf(frame.functionName, frame.url)
    times[kind] += elapsed
    if (kind === 'javaScript' || kind === 'native') {
      const name = frame.functionName === '' ? '(anonymous)' : frame.functionName
      byFunction.set(name, (byFunction.get(name) ?? 0) + elapsed)
    }
  }
  const total = Object.values(times).reduce((sum, one) => sum + one, 0)
  const top = [...byFunction]
    .sort((a, b) => b[1] - a[1])
    .slice(0, TOP)
    .map(([name, micros]) => `${name} ${((micros / Math.max(1, total)) * 100).toFixed(1)} %`)
  return { ...times, total, top }
}

function kindOf(name: string, url: string): Kind {
  if (name === '(idle)') return 'idle'
  if (name === '(program)' || name === '(root)') return 'program'
  if (name === '(garbage collector)') return 'garbageCollector'
  return url === '' ? 'native' : 'javaScript'
}
