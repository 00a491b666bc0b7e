/** `File.writeSynced` where it is two calls. */
import type { File, SyncedWrite } from './disk.ts'

export function writeThenSync(file: File, parts: readonly Uint8Array[], position: number): SyncedWrite {
  const written = file.write(parts, position)
  const synced = written.then(() => file.dataSync())
  synced.catch(() => {}) // whoever waits for it hears of it
  return { written, synced, hurry: () => {} }
}
