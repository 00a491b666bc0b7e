/**
 * What lies below a lying disk: files and names as programs see them and as the device has them, and the operations
 * under way. Each operation happens in one step, a turn of the event loop or more after it was asked for, in an order
 * that the seed decides; those that wait for each other are the callers' business.
 */
import { PagelogError } from '../../base/index.ts'
import type { Clock } from '../clock.ts'
import { DirectoryNode, DirectoryTree } from '../memory/directory-tree.ts'
import { ErrnoError } from '../memory/errno.ts'
import { DirectoryJournal } from './directory-journal.ts'
import { Faults, type Target } from './faults.ts'
import { isStep, OperationLog } from './operation-log.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { VolatileFile } from './volatile-file.ts'

export interface Operation<T> extends Target {
  readonly position?: number
  readonly length?: number
  /** The whole of it. */
  run(): T
  /** A part of it, of a write: failed, short, or cut off by the end of the process. Else it happens or not. */
  runPart?(random: SeededRandom): void
  /** It fails after it was tried. */
  runFailed?(random: SeededRandom): void
}

interface Waiting {
  readonly operation: Operation<unknown>
  readonly settle: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** A failed write of which the kernel took a part; the rest did not fit. */
export class ShortWriteError extends ErrnoError {
  constructor(path: string) {
    super('ENOSPC', path)
  }
}

export class LyingDevice {
  readonly tree = new DirectoryTree<VolatileFile>()
  readonly names = new DirectoryJournal<VolatileFile>()
  readonly faults = new Faults()
  readonly log = new OperationLog()
  readonly random: SeededRandom
  /** What a second sync of a file whose sync has failed was asked for: paths. */
  readonly repeatedSyncs: string[] = []
  /** Whose sync has failed: none is done any more until the next start. */
  readonly failedDirectories = new Map<DirectoryNode<VolatileFile>, PagelogError>()
  readonly locks = new Set<VolatileFile>()
  capacityBytes: number
  usedBytes = 0
  /** Operations that changed something so far. */
  steps = 0
  /** The step before which the power goes. */
  stopStep = Number.POSITIVE_INFINITY
  isOff = false
  /** Of power-ons: what was begun in an earlier one is void. */
  generation = 0
  readonly #clock: Pick<Clock, 'nowMs' | 'soon'>
  #waiting: Waiting[] = []
  #isScheduled = false

  constructor(random: SeededRandom, capacityBytes: number, clock: Pick<Clock, 'nowMs' | 'soon'>) {
    this.random = random
    this.capacityBytes = capacityBytes
    this.#clock = clock
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  /** Operations that wait, those held included. */
  waiting(isMeant: (target: Target) => boolean): number {
    return this.#waiting.filter(({ operation }) => isMeant(operation)).length
  }

  /** Rejects with an `ErrnoError`, with what `run` throws, or with PAGELOG_STORAGE when the power goes. */
  do<T>(generation: number, operation: Operation<T>): Promise<T> {
    if (generation !== this.generation || this.isOff) return Promise.reject(powerIsOff(operation.path))
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ operation, settle: (result) => resolve(result as T), reject })
      this.schedule()
    })
  }

  /** Something may go on. */
  schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(this.#turn)
  }

  /** The end of what runs: operations under way happen, happen in part or not at all, and all are refused. */
  stop(): void {
    this.isOff = true
    for (const { operation, reject } of this.#waiting.splice(0)) {
      this.#cutOff(operation)
      reject(powerIsOff(operation.path))
    }
  }

  /** Power is back. `isLost`: what was not on the device is gone. */
  start(isLost: boolean): void {
    if (!this.isOff) this.stop()
    if (isLost) for (const file of this.names.crash(this.tree.root, this.random)) file.crash(this.random)
    this.faults.clear()
    this.locks.clear()
    this.failedDirectories.clear()
    this.stopStep = Number.POSITIVE_INFINITY
    this.usedBytes = this.#recount(this.tree.root)
    this.generation++
    this.isOff = false
  }

  charge(bytes: number, path: string): void {
    if (bytes > 0 && this.usedBytes + bytes > this.capacityBytes) throw new ErrnoError('ENOSPC', path)
    this.usedBytes += bytes
  }

  /** A name or a handle of the file is gone. */
  drop(file: VolatileFile): void {
    file.users--
    if (file.users === 0) this.usedBytes -= file.usedBytes
  }

  readonly #turn = (): void => {
    this.#isScheduled = false
    const ready = this.#waiting.filter(({ operation }) => !this.faults.isHeld(operation))
    if (ready.length === 0) return
    const next = ready[this.random.below(ready.length)]!
    const isChange = isStep(next.operation.operation)
    if (isChange && this.steps + 1 >= this.stopStep) {
      this.stop()
      return
    }
    if (isChange) this.steps++
    this.#waiting.splice(this.#waiting.indexOf(next), 1)
    this.#happen(next)
    if (this.#waiting.length > 0) this.schedule()
  }

  #happen({ operation, settle, reject }: Waiting): void {
    try {
      const fault = this.faults.take(operation)
      if (fault !== undefined && fault !== 'flip') this.#fail(operation, fault)
      const result = operation.run()
      if (fault === 'flip') flipOneBit(result, this.random)
      this.#note(operation)
      settle(result)
    } catch (error) {
      this.#note(operation, error instanceof ErrnoError ? error.code : String(error))
      reject(error)
    }
  }

  #fail(operation: Operation<unknown>, fault: ErrnoError['code'] | 'short'): never {
    if (fault === 'short') {
      if (operation.runPart === undefined) throw new ErrnoError('ENOSPC', operation.path)
      operation.runPart(this.random)
      throw new ShortWriteError(operation.path)
    }
    operation.runFailed?.(this.random)
    if (fault === 'EIO') operation.runPart?.(this.random)
    throw new ErrnoError(fault, operation.path)
  }

  #cutOff(operation: Operation<unknown>): void {
    if (!isStep(operation.operation) || operation.operation === 'dataSync' || operation.operation === 'syncDirectory')
      return
    try {
      if (operation.runPart !== undefined) operation.runPart(this.random)
      else if (this.random.chance(0.5)) operation.run()
    } catch {
      // It would have failed; nobody is left to hear of it.
    }
  }

  #note({ operation, path, to, position, length }: Operation<unknown>, error?: string): void {
    this.log.add({
      operation,
      path,
      ...(to === undefined ? {} : { to }),
      ...(position === undefined ? {} : { position }),
      ...(length === undefined ? {} : { length }),
      ...(isStep(operation) ? { step: this.steps } : {}),
      ...(error === undefined ? {} : { error }),
    })
  }

  /** Bytes used below `directory`, now that no handle is open. */
  #recount(directory: DirectoryNode<VolatileFile>): number {
    let bytes = 0
    for (const node of directory.entries.values()) {
      if (node instanceof DirectoryNode) bytes += this.#recount(node)
      else {
        node.users = 1
        node.hasFailedSync = false // whoever starts now does not know of it
        bytes += node.usedBytes
      }
    }
    return bytes
  }
}

function flipOneBit(result: unknown, random: SeededRandom): void {
  if (!(result instanceof Uint8Array) || result.length === 0) return
  result[random.below(result.length)]! ^= 1 << random.below(8)
}

export function powerIsOff(path: string): PagelogError {
  return new PagelogError('PAGELOG_STORAGE', 'the power of the simulated machine is off', { path })
}
