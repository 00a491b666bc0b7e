/**
 * Virtual time for whole processes: everything that will happen is an event in one queue, and an event happens only when
 * all that the one before it set off (promises, microtasks) is through. So a seed decides the whole run, and a minute of
 * it takes as long as its work does, not a minute.
 *
 *   const scheduler = new Scheduler(7)
 *   const actor = scheduler.actor('broker-1')      // one life of one process; it is a Clock
 *   … code that is given `actor` as its clock …
 *   await scheduler.run(60_000)                    // a minute
 *   await scheduler.runUntil(() => isDone, 60_000)
 *
 * Of events that are due at once those of one actor happen in the order in which they were set, as timers of a real
 * process do; which actor goes first is up to the seed.
 *
 * The code inside may wait for nothing else than its Env: a promise of the real world would come at a time of its own.
 */
import { assert } from '../../base/index.ts'
import type { Clock, Timer } from '../clock.ts'
import { nodeClock } from '../node/clock.ts'
import { EventQueue, type QueuedEvent } from './event-queue.ts'
import { SeededRandom } from './seeded-random.ts'
import { Trace } from './trace.ts'

const START_MS = 1_700_000_000_000
/** What a turn of an event loop takes at least: work that asks for one after the other ends at some time, too. */
const TURN_MS = 0.001
/** Events for which the real event loop is asked at once; microtasks run after each of them all the same. */
const EVENTS_A_TURN = 32

interface ScheduledEvent extends QueuedEvent {
  dueMs: number
  tie: number
  order: number
  readonly actor: Actor
  readonly what: string
  readonly callback: () => void
  /** Or over: what has happened cannot be cancelled. */
  isCancelled: boolean
  isQueued: boolean
}

export class Scheduler {
  readonly seed: number
  readonly random: SeededRandom
  readonly trace = new Trace()
  /** Outside of every process: who tests may act here, and neither pause nor death holds it up. */
  readonly world: Actor
  /** Called after each event and what it set off; what it throws ends `run`. */
  onEvent: (() => void) | undefined
  readonly #queue = new EventQueue<ScheduledEvent>()
  #elapsedMs = 0
  #actors = 0
  #isRunning = false

  constructor(seed: number) {
    this.seed = seed
    this.random = new SeededRandom(seed)
    this.world = this.actor('world')
  }

  /** Virtual milliseconds since the start. */
  get elapsedMs(): number {
    return this.#elapsedMs
  }
  /** Virtual wall clock. */
  get nowMs(): number {
    return START_MS + this.#elapsedMs
  }
  /** Events that wait for their time. */
  get waiting(): number {
    return this.#queue.size
  }

  /** One more that acts; `name` is for the trace. */
  actor(name: string): Actor {
    return new Actor(this, name, ++this.#actors)
  }

  /** For actors. */
  schedule(actor: Actor, delayMs: number, callback: () => void, what: string): Timer {
    // What comes to an actor at once comes in its order, also while it stands still.
    const dueMs = delayMs > 0 ? actor.elapsedMs + delayMs : this.#elapsedMs
    const tie = mixed(this.seed, actor.number, dueMs)
    const order = this.#queue.nextOrder()
    const event: ScheduledEvent = { actor, dueMs, tie, order, callback, what, isCancelled: false, isQueued: true }
    this.#queue.push(event)
    return {
      cancel: () => {
        if (event.isCancelled) return
        event.isCancelled = true
        if (event.isQueued) this.#queue.noteCancelled()
      },
    }
  }

  /** For actors: what was held back happens now. */
  release(event: ScheduledEvent): void {
    if (event.isCancelled) return
    event.dueMs = this.#elapsedMs
    event.tie = mixed(this.seed, event.actor.number, event.dueMs)
    event.order = this.#queue.nextOrder()
    event.isQueued = true
    this.#queue.push(event)
  }

  /** Lets `ms` pass. */
  async run(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms
    await this.#run(endMs, undefined)
    this.#elapsedMs = endMs
  }

  /** Lets time pass until `condition` holds, which is looked at after each event. False when that took `limitMs`. */
  runUntil(condition: () => boolean, limitMs: number): Promise<boolean> {
    return this.#run(this.#elapsedMs + limitMs, condition)
  }

  /** Lets time pass until `work` is settled. Throws what it threw, or when that took `limitMs`. */
  async settled<T>(work: Promise<T>, limitMs: number, what = 'the work'): Promise<T> {
    let isOver = false
    const over = (): void => {
      isOver = true
    }
    work.then(over, over)
    if (!(await this.runUntil(() => isOver, limitMs))) {
      throw new Error(`${what} is not done after ${limitMs} ms of virtual time (seed ${this.seed})`)
    }
    return await work
  }

  #run(endMs: number, condition: (() => boolean) | undefined): Promise<boolean> {
    assert(!this.#isRunning, 'time passes for one at a time')
    this.#isRunning = true
    return new Promise<boolean>((resolve, reject) => {
      let isOver = false
      let turns = 0
      const end = (settle: () => void): void => {
        isOver = true
        this.#isRunning = false
        settle()
      }
      const turn = (): void => {
        turns--
        if (isOver) return
        try {
          // What the last event set off is through by now.
          this.onEvent?.()
          if (condition?.() === true) end(() => resolve(true))
          else if (!this.#happen(endMs)) end(() => resolve(false))
        } catch (error) {
          end(() => reject(error))
        }
        if (!isOver && turns === 0) ask()
      }
      const ask = (): void => {
        for (turns = 0; turns < EVENTS_A_TURN; turns++) nodeClock.soon(turn)
      }
      ask()
    })
  }

  /** The next event up to `endMs`; false when there is none. */
  #happen(endMs: number): boolean {
    for (;;) {
      const next = this.#queue.peek()
      if (next === undefined || next.dueMs > endMs) return false
      this.#queue.pop()
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs)
      next.isQueued = false
      if (next.actor.hold(next)) continue
      next.isCancelled = true
      this.trace.add(this.#elapsedMs, next.actor.name, next.what)
      next.callback()
      return true
    }
  }
}

/**
 * How often a process stands still in the middle of what it does, as one does whose processor is given to another: between
 * any two looks at its clock time may have passed.
 */
export interface Stalls {
  /** Of one look, or of setting one timer: 0 to 1. */
  readonly chance: number
  readonly msMax: number
}

/** One life of a process, as the scheduler sees it: its clock, which stops for it when it is paused, and for good when it dies. */
export class Actor implements Clock {
  readonly name: string
  /** Of its scheduler's actors, from 1 on. */
  readonly number: number
  /** By how much its wall clock is off. */
  skewMs = 0
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  #stalls: Stalls | undefined
  #busyUntilMs = 0
  #isPaused = false
  #isDead = false
  #held: ScheduledEvent[] = []

  /** For schedulers. */
  constructor(scheduler: Scheduler, name: string, number: number) {
    this.#scheduler = scheduler
    this.name = name
    this.number = number
    // Of its own: who never stands still leaves the others' chances as they are.
    this.#random = new SeededRandom(mixed(scheduler.seed, number, 0))
  }

  get isPaused(): boolean {
    return this.#isPaused
  }
  get isDead(): boolean {
    return this.#isDead
  }

  /** Virtual milliseconds since the start: while it stands still, those at which it goes on. */
  get elapsedMs(): number {
    return Math.max(this.#scheduler.elapsedMs, this.#busyUntilMs)
  }

  nowMs(): number {
    return this.#scheduler.nowMs + (this.elapsedMs - this.#scheduler.elapsedMs) + this.skewMs
  }

  monotonicMs(): number {
    this.#standStill()
    return this.elapsedMs
  }

  after(delayMs: number, callback: () => void, what = 'timer'): Timer {
    if (delayMs > 0) this.#standStill()
    return this.#scheduler.schedule(this, delayMs, callback, what)
  }

  every(intervalMs: number, callback: () => void): Timer {
    assert(intervalMs > 0, 'an interval is longer than nothing')
    let isCancelled = false
    const again = (): void => {
      if (isCancelled) return
      timer = this.after(intervalMs, again, 'interval')
      callback()
    }
    let timer = this.after(intervalMs, again, 'interval')
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  soon(callback: () => void): void {
    this.after(TURN_MS, callback, 'turn')
  }

  /** From now on it stands still now and then. */
  stall(stalls: Stalls): void {
    this.#stalls = stalls
  }

  /** SIGSTOP: what would happen waits. */
  pause(): void {
    this.#isPaused = true
  }

  /** SIGCONT: what should have happened meanwhile does now, in its order. */
  resume(): void {
    this.#isPaused = false
    this.#releaseHeld()
  }

  /** SIGKILL: nothing happens any more. */
  die(): void {
    this.#isDead = true
    this.#held = []
  }

  /** For schedulers: whether the event does not happen now. */
  hold(event: ScheduledEvent): boolean {
    if (this.#isDead) return true
    const busyMs = this.elapsedMs - this.#scheduler.elapsedMs
    if (!this.#isPaused && busyMs === 0) return false
    const isFirst = this.#held.length === 0
    this.#held.push(event)
    if (isFirst && busyMs > 0) this.#scheduler.world.after(busyMs, () => this.#goOn(), 'goes on')
    return true
  }

  #goOn(): void {
    if (!this.#isPaused) this.#releaseHeld()
  }

  #releaseHeld(): void {
    for (const event of this.#held.splice(0)) this.#scheduler.release(event)
  }

  #standStill(): void {
    if (this.#stalls === undefined || !this.#random.chance(this.#stalls.chance)) return
    this.#busyUntilMs = this.elapsedMs + this.#stalls.msMax * this.#random.fraction()
  }
}

/** 0 ≤ x < 2^32, the same for the same numbers. */
function mixed(seed: number, actor: number, dueMs: number): number {
  let word = Math.imul(seed ^ Math.imul(actor, 0x9e3779b1), 0x85ebca6b) ^ Math.round(dueMs * 1000)
  word = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d)
  word = Math.imul(word ^ (word >>> 12), 0x297a2d39)
  return (word ^ (word >>> 15)) >>> 0
}
