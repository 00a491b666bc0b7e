/** pagelog itself: `append` of records, or of batches that are finished already. */
import { openLogDirectory } from '../../../src/log/index.ts'
import { BATCH_BYTES, Batches, recordsPerBatch } from '../records.ts'
import type { OpenStore, Store, StoreOptions } from './store.ts'

/** Records as a program has them: `{ value }`, no key. One record is passed alone, several as an array. */
export async function openPagelogStore({ directory, durability, values }: StoreOptions): Promise<Store> {
  const logs = await openLogDirectory(directory)
  const log = await logs.open('records')
  const options = { durability }
  return {
    append: (count) => {
      if (count === 1) return log.append({ value: values.next() }, options)
      const records = new Array<{ value: Uint8Array }>(count)
      for (let i = 0; i < count; i++) records[i] = { value: values.next() }
      return log.append(records, options)
    },
    close: () => logs.close(),
  }
}

/** Finished batches of 64 KiB, made once: as from a client's producer, a file, a socket. */
export function pagelogBatchStore(poolBytes: number): OpenStore {
  let made: Batches | undefined
  return async ({ directory, durability }) => {
    const logs = await openLogDirectory(directory)
    const log = await logs.open('records')
    made ??= new Batches({ poolBytes, recordsPerBatch: recordsPerBatch(BATCH_BYTES) })
    const batches = made
    return {
      append: () => log.append(batches.next(), { durability }),
      close: () => logs.close(),
    }
  }
}
