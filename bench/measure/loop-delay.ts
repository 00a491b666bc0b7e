/** Event-loop delay in the form that results have it, from the sampler that brokers and drivers share. */
import { type LoopDelay as Sampled, startLoopSampler } from '../../src/env/index.ts'
import type { LoopDelay } from '../result.ts'

export function toLoopDelay(sampled: Sampled): LoopDelay {
  const { delayMs, cpuMs } = sampled
  return { ...delayMs, ...(cpuMs === undefined ? {} : { cpuPerTurnP99: cpuMs.p99 }) }
}

/** Measures the loop of the process it runs in, from its making to `stop`. */
export class LoopDelayMeter {
  readonly #sampler = startLoopSampler()

  stop(): LoopDelay | null {
    const sampled = this.#sampler.snapshot()
    this.#sampler.close()
    return sampled.turns === 0 ? null : toLoopDelay(sampled)
  }
}
