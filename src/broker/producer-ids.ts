/**
 * Producer ids, never handed out twice (reliability P2): the next free id is stored before any id below it is used, in
 * blocks of a thousand as in Kafka. What is left of a block is lost at a restart.
 */
import { assert, hasCode } from '../base/index.ts'
import type { MetadataStore } from '../metadata/index.ts'

const KEY = 'producer-ids/next'
const BLOCK = 1000

export class ProducerIds {
  readonly #store: MetadataStore
  #next = 0
  /** Exclusive. */
  #end = 0
  #allocation: Promise<void> | undefined

  constructor(store: MetadataStore) {
    this.#store = store
  }

  /** Rejects as the metadata store does. */
  next(): number | Promise<number> {
    if (this.#next < this.#end) return this.#next++
    this.#allocation ??= this.#allocate().finally(() => {
      this.#allocation = undefined
    })
    // Many may have waited for the same block: whoever comes too late asks for another.
    return this.#allocation.then(() => this.next())
  }

  async #allocate(): Promise<void> {
    for (;;) {
      const { pair } = await this.#store.get(KEY)
      const start = pair === undefined ? 0 : Number(pair.value)
      assert(Number.isSafeInteger(start + BLOCK), 'producer ids stay safe integers')
      const taken = await this.#store
        .transact(
          [{ key: KEY, field: 'modRevision', equals: pair?.modRevision ?? 0 }],
          [{ type: 'put', key: KEY, value: String(start + BLOCK) }],
        )
        .catch((error: unknown) => {
          // The block may be ours or not: it is left to nobody, and another is asked for.
          if (!hasCode(error, 'PAGELOG_OUTCOME_UNKNOWN')) throw error
          return { succeeded: false }
        })
      if (taken.succeeded) {
        this.#next = start
        this.#end = start + BLOCK
        return
      }
    }
  }
}
