/**
 * A file of one's own: `FileHandle.appendFile`, several values in one buffer, `datasync` for fsync. No framing, index or
 * checksum: less than any log has to do. `fs.appendFile` by path opens the file each time and is several times slower.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Store, StoreOptions } from './store.ts'

export async function openAppendFileStore({ directory, durability, values }: StoreOptions): Promise<Store> {
  const file = await open(join(directory, 'records'), 'a')
  const write = (count: number) => file.appendFile(count === 1 ? values.next() : Buffer.concat(values.take(count)))
  const sync = async (count: number): Promise<void> => {
    await write(count)
    await file.datasync()
  }
  return { append: durability === 'fsync' ? sync : write, close: () => file.close() }
}
