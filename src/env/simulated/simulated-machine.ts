/**
 * A machine of a simulation: a host of the network with a lying disk, on which one process at a time runs.
 *
 *   const machine = new SimulatedMachine({ scheduler, network, name: 'broker-1' })
 *   const env = machine.start()     // of a new process
 *   machine.pause()                 // SIGSTOP, until resume()
 *   machine.kill()                  // kill -9: the kernel keeps what it was given
 *   machine.crash()                 // power loss: the disk keeps what was synced, and of the rest what it likes
 */
import { assert } from '../../base/index.ts'
import { inThreadWorkers } from '../in-thread-workers.ts'
import type { Env } from '../index.ts'
import { LyingDisk } from './lying-disk.ts'
import type { Actor, Scheduler, Stalls } from './scheduler.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedNetwork } from './simulated-network.ts'

const CAPACITY_BYTES = 256 * 1024 * 1024
/** Of one operation of the disk, at most. */
const DISK_MS_MAX = 0.2

export interface SimulatedMachineOptions {
  readonly scheduler: Scheduler
  readonly network: SimulatedNetwork
  readonly name: string
  readonly diskBytes?: number
  readonly coldReads?: number
  /** Of its processes; none if left out. */
  readonly stalls?: Stalls
}

export class SimulatedMachine {
  readonly name: string
  readonly disk: LyingDisk
  /** How long an operation of the disk takes at most; more is a disk that stalls. */
  diskMsMax = DISK_MS_MAX
  readonly #scheduler: Scheduler
  readonly #network: SimulatedNetwork
  readonly #random: SeededRandom
  readonly #stalls: Stalls | undefined
  /** Of the disk; it lives as long as the machine. */
  readonly #device: Actor
  #process: Actor | undefined
  #lives = 0

  constructor(options: SimulatedMachineOptions) {
    const { scheduler, network, name, diskBytes = CAPACITY_BYTES, coldReads, stalls } = options
    this.name = name
    this.#stalls = stalls
    this.#scheduler = scheduler
    this.#network = network
    this.#random = scheduler.random.fork()
    this.#device = scheduler.actor(`${name} disk`)
    const clock = { nowMs: () => scheduler.nowMs, soon: (callback: () => void) => this.#operate(callback) }
    const seed = this.#random.below(2 ** 32)
    this.disk = new LyingDisk({
      seed,
      capacityBytes: diskBytes,
      clock,
      ...(coldReads === undefined ? {} : { coldReads }),
    })
  }

  /** A process runs, or is paused. */
  get isRunning(): boolean {
    return this.#process !== undefined
  }
  /** The process that runs. */
  get process(): Actor | undefined {
    return this.#process
  }
  get isPaused(): boolean {
    return this.#process?.isPaused === true
  }
  /** How many processes there have been. */
  get lives(): number {
    return this.#lives
  }

  /** The world of a new process. */
  start(): Env {
    assert(this.#process === undefined, 'one process at a time')
    const clock = this.#scheduler.actor(`${this.name}#${++this.#lives}`)
    if (this.#stalls !== undefined) clock.stall(this.#stalls)
    this.#process = clock
    const { disk } = this.disk
    const network = this.#network.host(this.name, clock)
    return { disk, network, clock, random: this.#random.fork(), workers: inThreadWorkers({ disk, clock }) }
  }

  pause(): void {
    this.#process?.pause()
    this.#device.pause()
  }

  resume(): void {
    this.#process?.resume()
    this.#device.resume()
  }

  /** The process ends at once; nothing of it runs any more. */
  kill(): void {
    if (!this.#end()) return
    this.#network.kill(this.name)
    this.disk.kill()
  }

  /** Power loss. The machine has power again when it is started. */
  crash(): void {
    this.#end()
    this.#network.powerOff(this.name)
    this.disk.crash()
  }

  #end(): boolean {
    if (this.#process === undefined) return false
    this.#process.die()
    this.#device.resume()
    this.#process = undefined
    return true
  }

  #operate(callback: () => void): void {
    const done = (): void => {
      const { elapsedMs } = this.#scheduler
      const busyMs = (this.#process?.elapsedMs ?? elapsedMs) - elapsedMs
      // A process that stands still hears of it when it goes on.
      if (busyMs > 0) this.#device.after(busyMs, done, 'disk')
      else callback()
    }
    this.#device.after(this.diskMsMax * this.#random.fraction(), done, 'disk')
  }
}
