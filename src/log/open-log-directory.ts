/** The short way for a program that embeds logs: the real disk, default settings, whole batches as bytes. */
import { type Logger, resolveSettings } from '../base/index.ts'
import { nodeEnv } from '../env/index.ts'
import { batchesOf } from '../record/index.ts'
import type { Log } from './log.ts'
import { LogDirectory } from './log-directory.ts'
import { type LogSettings, logSettings } from './log-settings.ts'

export interface OpenLogDirectoryOptions {
  /** For every log of the directory, by inside names; Kafka's defaults for what is left out. */
  readonly settings?: Partial<LogSettings>
  readonly logger?: Logger
}

/**
 * Opens the directory at `path`, creating it when missing, on the real disk. It is held until `close`. Errors:
 * PAGELOG_LOCKED (another process has it), PAGELOG_INVALID_SETTING, PAGELOG_STORAGE.
 */
export function openLogDirectory(path: string, options: OpenLogDirectoryOptions = {}): Promise<LogDirectory> {
  const defaults = resolveSettings(logSettings, options.settings)
  const { logger } = options
  return LogDirectory.open({ env: nodeEnv(), path, defaults, ...(logger === undefined ? {} : { logger }) })
}

/**
 * The bytes of whole batches of `log` from the one that holds `offset` on: at most `maxBytes`, or the first batch alone
 * when it is larger; empty at the end of the log. They are a copy and stay valid. Errors: as `Log.slice`.
 */
export async function readBatches(log: Log, offset: number, maxBytes: number): Promise<Uint8Array> {
  const { regions, byteLength } = await log.slice(offset, maxBytes, { minOneBatch: true })
  const bytes = new Uint8Array(byteLength)
  let end = 0
  try {
    for (const { file, position, length } of regions) {
      const into = bytes.subarray(end, end + length)
      if (file.tryRead(into, position) !== length) await file.read(into, position)
      end += length
    }
  } finally {
    for (const region of regions) region.release()
  }
  let whole = 0
  for (const batch of batchesOf(bytes)) whole += batch.sizeInBytes
  return bytes.subarray(0, whole)
}
