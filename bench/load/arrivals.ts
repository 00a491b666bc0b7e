/**
 * When records are meant to be sent, decided before and apart from how the broker does: constant distances, a Poisson
 * process (independent senders), or steps of constant rates. Times are milliseconds since the load began.
 */
import { UsageError } from '../options.ts'

export interface RateStep {
  readonly rate: number
  readonly seconds: number
}

export type ArrivalSpec =
  | { readonly kind: 'constant'; readonly rate: number; readonly seconds: number }
  | { readonly kind: 'poisson'; readonly rate: number; readonly seconds: number; readonly seed: number }
  | { readonly kind: 'steps'; readonly steps: readonly RateStep[] }

/** The times one after the other; Infinity once there are no more. */
export interface Arrivals {
  next(): number
}

export function arrivalsOf(spec: ArrivalSpec): Arrivals {
  switch (spec.kind) {
    case 'constant':
      return new StepArrivals([spec])
    case 'poisson':
      return new PoissonArrivals(spec.rate, spec.seconds, spec.seed)
    case 'steps':
      return new StepArrivals(spec.steps)
  }
}

/** How long the load lasts. */
export function secondsOf(spec: ArrivalSpec): number {
  return spec.kind === 'steps' ? spec.steps.reduce((sum, step) => sum + step.seconds, 0) : spec.seconds
}

/** Records that are meant to be sent in all; of a Poisson process the mean. */
export function expectedRecords(spec: ArrivalSpec): number {
  if (spec.kind !== 'steps') return Math.round(spec.rate * spec.seconds)
  return Math.round(spec.steps.reduce((sum, { rate, seconds }) => sum + rate * seconds, 0))
}

/** The same load preceded by a time at its first rate, and as one of `clients` equal parts of it. */
export function partOf(spec: ArrivalSpec, warmUpSeconds: number, clients: number, client: number): ArrivalSpec {
  if (spec.kind === 'constant') {
    return { ...spec, rate: spec.rate / clients, seconds: spec.seconds + warmUpSeconds }
  }
  if (spec.kind === 'poisson') {
    // Independent parts of a Poisson process are Poisson processes, if their chances are not the same.
    const seed = (spec.seed + Math.imul(client, 0x9e3779b1)) >>> 0
    return { ...spec, rate: spec.rate / clients, seconds: spec.seconds + warmUpSeconds, seed }
  }
  const first = spec.steps[0]
  const before = warmUpSeconds > 0 && first !== undefined ? [{ rate: first.rate, seconds: warmUpSeconds }] : []
  return { kind: 'steps', steps: [...before, ...spec.steps].map((step) => ({ ...step, rate: step.rate / clients })) }
}

/** `1000x5,2000x5`: 1,000 a second for 5 s, then 2,000. Throws UsageError. */
export function parseSteps(text: string): RateStep[] {
  return text.split(',').map((part) => {
    const found = /^\s*(\d+(?:\.\d+)?)\s*x\s*(\d+(?:\.\d+)?)\s*$/.exec(part)
    const step = { rate: Number(found?.[1]), seconds: Number(found?.[2]) }
    if (found === null || step.rate <= 0 || step.seconds <= 0) {
      throw new UsageError(`--steps ${part}: RATExSECONDS, separated by commas`)
    }
    return step
  })
}

class StepArrivals implements Arrivals {
  readonly #steps: readonly RateStep[]
  #step = 0
  #index = 0
  #startMs = 0

  constructor(steps: readonly RateStep[]) {
    this.#steps = steps
  }

  next(): number {
    for (;;) {
      const step = this.#steps[this.#step]
      if (step === undefined) return Number.POSITIVE_INFINITY
      // From the index, not by adding up distances: a long load keeps its rate.
      const atMs = (this.#index * 1000) / step.rate
      if (atMs < step.seconds * 1000) {
        this.#index++
        return this.#startMs + atMs
      }
      this.#startMs += step.seconds * 1000
      this.#step++
      this.#index = 0
    }
  }
}

class PoissonArrivals implements Arrivals {
  readonly #meanMs: number
  readonly #endMs: number
  #x: number
  #atMs = 0

  constructor(rate: number, seconds: number, seed: number) {
    this.#meanMs = 1000 / rate
    this.#endMs = seconds * 1000
    this.#x = Math.imul(seed, 0x9e3779b1) >>> 0 || 1
  }

  next(): number {
    let x = this.#x
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#x = x >>> 0
    // Never 0, whose logarithm is no time.
    const fraction = this.#x / 0x1_0000_0000
    this.#atMs += -Math.log(fraction) * this.#meanMs
    return this.#atMs < this.#endMs ? this.#atMs : Number.POSITIVE_INFINITY
  }
}
