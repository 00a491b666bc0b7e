/** The front door for a program that embeds logs: the real disk and settings that suit it. */
import { type GivenSettings, type Logger, overlaid, PagelogError, resolveSettings } from '../base/index.ts'
import { nodeEnv } from '../env/index.ts'
import { LogDirectory } from './log-directory.ts'
import { logDirectorySettings, logSettings } from './log-settings.ts'

export interface OpenLogDirectoryOptions {
  /**
   * Of the directory, and of every log in it that is not given others by `LogDirectory.open`. By inside names; Kafka's
   * defaults for what is left out, but for `retentionMs`: without being told to, nothing is ever deleted (-1).
   */
  readonly settings?: GivenSettings<typeof logSettings> & GivenSettings<typeof logDirectorySettings>
  readonly logger?: Logger
}

/**
 * Opens the directory at `path`, creating it when missing. It is held until `close`. Errors: PAGELOG_LOCKED (another
 * process has it), PAGELOG_INVALID_SETTING, PAGELOG_INVALID_ARGUMENT, PAGELOG_STORAGE.
 */
export async function openLogDirectory(path: string, options: OpenLogDirectoryOptions = {}): Promise<LogDirectory> {
  if (typeof path !== 'string' || path === '') {
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', 'the path of a log directory is a text')
  }
  const { logger, settings = {} } = options
  const all = Object.entries(settings)
  const ofDirectory = all.filter(([name]) => name in logDirectorySettings)
  const ofLogs = all.filter(([name]) => !(name in logDirectorySettings))
  return await LogDirectory.open({
    env: nodeEnv(),
    path,
    defaults: resolveSettings(logSettings, overlaid({ retentionMs: -1 }, Object.fromEntries(ofLogs))),
    settings: resolveSettings(logDirectorySettings, Object.fromEntries(ofDirectory)),
    ...(logger === undefined ? {} : { logger }),
  })
}
