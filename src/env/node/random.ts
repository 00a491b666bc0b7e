/** Real chance. */
import { randomBytes } from 'node:crypto'
import type { Random } from '../clock.ts'

export const nodeRandom: Random = {
  fraction: () => Math.random(),
  bytes: (count) => new Uint8Array(randomBytes(count)),
}
