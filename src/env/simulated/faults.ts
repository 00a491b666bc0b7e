/** Faults that a test has asked for: which operation on which path, the how manieth of them, and what becomes of it. */
import { assert } from '../../base/index.ts'
import type { Errno } from '../memory/errno.ts'
import type { DiskOperation } from './operation-log.ts'

/** Which operations are meant. */
export interface FaultMatch {
  /** Any when left out. */
  readonly operation?: DiskOperation | readonly DiskOperation[]
  /** Part of the path, or a pattern; any when left out. Of a rename: either path. */
  readonly path?: string | RegExp
}

export interface Fault extends FaultMatch {
  /**
   * The call fails with this. EIO leaves a write half done and a sync's bytes in doubt. `short`: the kernel takes a part
   * of a write and then has no room (any other call: ENOSPC). `flip`: what a read brings has one wrong bit.
   */
  readonly error: Errno | 'short' | 'flip'
  /** The first operation that is hit, counted from 1 among those that match; 1 by default. */
  readonly nth?: number
  /** How many are hit from there on; all with Infinity, 1 by default. */
  readonly times?: number
}

export interface InjectedFault {
  /** Operations that were hit. */
  readonly hits: number
  remove(): void
}

/** Operations that match wait until `release`; others go on. */
export interface Hold {
  readonly waiting: number
  release(): void
}

/** One operation, as far as faults look at it. */
export interface Target {
  readonly operation: DiskOperation
  readonly path: string
  readonly to?: string
}

class ActiveFault implements InjectedFault {
  readonly fault: Fault
  readonly #first: number
  readonly #last: number
  readonly #onRemove: (fault: ActiveFault) => void
  #seen = 0
  hits = 0

  constructor(fault: Fault, onRemove: (fault: ActiveFault) => void) {
    const { nth = 1, times = 1 } = fault
    assert(nth >= 1 && times >= 1, 'faults are counted from 1')
    this.fault = fault
    this.#first = nth
    this.#last = nth + times - 1
    this.#onRemove = onRemove
  }

  /** Whether the next operation that matches is hit. */
  get isDue(): boolean {
    return this.#seen + 1 >= this.#first && this.#seen + 1 <= this.#last
  }

  /** An operation that matches happens; true: it is hit. */
  count(): boolean {
    const isDue = this.isDue
    this.#seen++
    if (isDue) this.hits++
    return isDue
  }

  remove(): void {
    this.#onRemove(this)
  }
}

export class Faults {
  readonly #active = new Set<ActiveFault>()
  readonly #holds = new Set<FaultMatch>()

  inject(fault: Fault): InjectedFault {
    const active = new ActiveFault(fault, (one) => this.#active.delete(one))
    this.#active.add(active)
    return active
  }

  /** Returns the function that ends it. */
  hold(match: FaultMatch): () => void {
    this.#holds.add(match)
    return () => this.#holds.delete(match)
  }

  isHeld(target: Target): boolean {
    for (const match of this.#holds) if (matches(match, target)) return true
    return false
  }

  /** The operation happens now: what it is hit by. */
  take(target: Target): Fault['error'] | undefined {
    let error: Fault['error'] | undefined
    for (const active of this.#active) {
      if (matches(active.fault, target) && active.count()) error ??= active.fault.error
    }
    return error
  }

  /** Whether the operation would be hit or held; nothing is counted. */
  threatens(target: Target): boolean {
    for (const { fault, isDue } of this.#active) if (isDue && matches(fault, target)) return true
    return this.isHeld(target)
  }

  /** Forgets all faults and holds. */
  clear(): void {
    this.#active.clear()
    this.#holds.clear()
  }
}

export function matches({ operation, path }: FaultMatch, target: Target): boolean {
  const operations = typeof operation === 'string' ? [operation] : operation
  if (operations !== undefined && !operations.includes(target.operation)) return false
  if (path === undefined) return true
  const isMeant = (one: string): boolean => (typeof path === 'string' ? one.includes(path) : path.test(one))
  return isMeant(target.path) || (target.to !== undefined && isMeant(target.to))
}
