/**
 * tinybench around one subject: warm-up, then calls until time and count are reached. A call does `unitsPerCall` units
 * of work (records, operations), many at once for short ones, so that the clock's own cost and resolution do not count.
 * The rate is all units over all time measured, the margin tinybench's 95 % interval of a call's mean.
 */
import { Bench } from 'tinybench'
import type { LatencyRecorder } from '../measure/latency.ts'
import type { MicroOutcome } from './micro.ts'
import type { Scale } from './scale.ts'

export interface MeasureOptions {
  readonly scale: Scale
  readonly unit: 'rec/s' | 'op/s'
  readonly unitsPerCall: number
  /** Payload of a unit, for MiB/s; 0: not told. */
  readonly bytesPerUnit?: number
  readonly call: () => unknown
  /** Before each call, not timed. */
  readonly before?: () => Promise<void> | void
  /** Latencies that `call` records itself; emptied after the warm-up. */
  readonly latencies?: LatencyRecorder
  readonly details?: () => Readonly<Record<string, number>>
}

export async function measure(options: MeasureOptions): Promise<MicroOutcome> {
  const { scale, unit, unitsPerCall, bytesPerUnit = 0, latencies } = options
  const bench = new Bench({
    time: scale.timeMs,
    iterations: scale.callsMin,
    warmup: scale.warmUpMs > 0,
    warmupTime: scale.warmUpMs,
    warmupIterations: 1,
    throws: true,
  })
  bench.add('subject', options.call, {
    beforeAll: () => latencies?.reset(),
    ...(options.before === undefined ? {} : { beforeEach: async () => options.before?.() }),
  })
  const [task] = await bench.run()
  const result = task?.result
  if (result === undefined || !('latency' in result)) throw new Error(`measured nothing: ${result?.state}`)
  const perSecond = (unitsPerCall * 1000) / result.latency.mean
  return {
    value: perSecond,
    unit,
    calls: result.latency.samplesCount,
    marginPercent: Number.isFinite(result.latency.rme) ? result.latency.rme : null,
    mebibytesPerSecond: bytesPerUnit === 0 ? null : (perSecond * bytesPerUnit) / 1048576,
    latencyMs: latencies?.summary() ?? null,
    details: options.details?.() ?? {},
  }
}
