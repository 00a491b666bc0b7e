/** Concurrent writers: each appends and waits for its own answer before the next, as that many requests would. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { LatencyRecorder } from '../measure/latency.ts'
import { type MeasureOptions, measure } from './measure.ts'
import type { MicroContext, MicroOutcome } from './micro.ts'
import { VALUE_BYTES, Values } from './records.ts'
import type { Durability, OpenStore, Store } from './stores/store.ts'

export interface AppendPlan {
  readonly recordsPerAppend: number
  readonly durability: Durability
  readonly writers: number
}

/** Measures appends to a store that is begun anew whenever it has grown by `renewBytes`. */
export async function measureAppends(context: MicroContext, open: OpenStore, plan: AppendPlan): Promise<MicroOutcome> {
  const { scale, directory } = context
  const { recordsPerAppend, durability } = plan
  const writers = Math.min(plan.writers, scale.writersMax)
  const values = new Values(scale.poolBytes)
  const stores = new RenewedStore(directory, scale.renewBytes, (path) =>
    open({ directory: path, durability, values, peers: context.peers }),
  )
  const latencies = new LatencyRecorder()
  const appendsPerCall = scale.appendsPerCall * writers
  const unitsPerCall = appendsPerCall * recordsPerAppend
  const options: MeasureOptions = {
    scale,
    unit: 'rec/s',
    unitsPerCall,
    bytesPerUnit: VALUE_BYTES,
    latencies,
    before: () => stores.renewWhenFull(),
    call: async () => {
      await appendAll(stores.current, { recordsPerAppend, writers, appends: appendsPerCall, latencies })
      stores.grew(unitsPerCall * VALUE_BYTES)
    },
  }
  try {
    return await measure(options)
  } finally {
    await stores.close()
  }
}

export interface Appending {
  readonly recordsPerAppend: number
  readonly writers: number
  /** In all. */
  readonly appends: number
  readonly latencies?: LatencyRecorder
}

export async function appendAll(store: Store, { recordsPerAppend, writers, appends, latencies }: Appending) {
  let left = appends
  const write = async (): Promise<void> => {
    while (left-- > 0) {
      const startedMs = performance.now()
      await store.append(recordsPerAppend)
      latencies?.record(performance.now() - startedMs)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
}

/** A store in a directory of its own, replaced by a new one when it has taken enough. */
export class RenewedStore {
  readonly #directory: string
  readonly #renewBytes: number
  readonly #open: (directory: string) => Promise<Store>
  #store: Store | undefined
  #path = ''
  #count = 0
  #bytes = 0

  constructor(directory: string, renewBytes: number, open: (directory: string) => Promise<Store>) {
    this.#directory = directory
    this.#renewBytes = renewBytes
    this.#open = open
  }

  get current(): Store {
    return this.#store!
  }

  grew(bytes: number): void {
    this.#bytes += bytes
  }

  async renewWhenFull(): Promise<void> {
    if (this.#store !== undefined && this.#bytes < this.#renewBytes) return
    await this.close()
    this.#path = join(this.#directory, `store-${this.#count++}`)
    mkdirSync(this.#path)
    this.#bytes = 0
    this.#store = await this.#open(this.#path)
  }

  async close(): Promise<void> {
    await this.#store?.close()
    this.#store = undefined
    if (this.#path !== '') rmSync(this.#path, { recursive: true, force: true })
  }
}
