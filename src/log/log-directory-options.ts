/** What a log directory, and a log in it, is opened with. */
import type { GivenSettings, Logger } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import type { PartitionName } from './file-names.ts'
import type { LogDirectorySettings, LogSettings, logSettings } from './log-settings.ts'

export interface LogDirectoryOptions {
  readonly env: Pick<Env, 'disk' | 'clock' | 'random'> & Partial<Pick<Env, 'workers'>>
  readonly path: string
  readonly defaults: LogSettings
  /** By inside names; defaults for what is left out. */
  readonly settings?: Partial<LogDirectorySettings>
  readonly logger?: Logger
  /** Settings of a topic found at open; `defaults` without it. */
  readonly settingsOf?: (topic: string) => LogSettings
  /** Whether the log is among those that are read through for damage before the others; all are without it. */
  readonly scrubsFirst?: (name: PartitionName) => boolean
  /**
   * Awaited, at open, before recovery cuts batches off a log that had been written whole, and not only the end of a write
   * that was under way: whoever dies later would not know it any more. Rejects: the directory does not open.
   */
  readonly beforeCut?: (name: PartitionName) => Promise<void>
  /** Must agree with meta.properties when that is there; 0 and a random id for a new directory without it. */
  readonly nodeId?: number
  readonly clusterId?: string
}

export interface OpenLogOptions {
  /** 0 by default. */
  readonly partition?: number
  /** By inside names; those of the directory for what is left out. */
  readonly settings?: GivenSettings<typeof logSettings>
}
