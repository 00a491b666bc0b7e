/** The pure functions of src/native in each of their implementations: all must pass the same tests. */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Addon } from '../../src/native/addon.ts'
import * as plainCheck from '../../src/native/check-batch.ts'
import * as plainCrc from '../../src/native/crc32c.ts'
import * as chosen from '../../src/native/index.ts'

export const addonPath = resolve(import.meta.dirname, '../../build/Release/pagelog.node')

/** The addon itself, also while PAGELOG_NATIVE=0 keeps src/native from using it. */
export const addon = createRequire(import.meta.url)(addonPath) as Addon

export const crcWays = [
  { name: 'plain JS', crc32c: plainCrc.crc32c },
  { name: 'addon', crc32c: addon.crc32c },
  { name: 'addon by tables', crc32c: addon.crc32cByTable },
  { name: 'src/native', crc32c: chosen.crc32c },
]

export const checkWays = [
  { name: 'plain JS', checkBatch: plainCheck.checkBatch, checkBatchStored: plainCheck.checkBatchStored },
  { name: 'addon', checkBatch: addon.checkBatch, checkBatchStored: addon.checkBatchStored },
  { name: 'src/native', checkBatch: chosen.checkBatch, checkBatchStored: chosen.checkBatchStored },
]
