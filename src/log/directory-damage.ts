/**
 * Logs of a directory that are open although they are damaged, and who looks for them. They are served on as they are.
 * Where somebody has others to fetch it from, the damage is also written into the folder of the partition, so that the
 * next process knows it before it vouches for the log; the mark leaves with the folder, or when the log was repaired.
 */
import { hasCode, type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { DAMAGED_FILE, type PartitionName, parsePartitionName } from './file-names.ts'
import type { LogDirectorySettings } from './log-settings.ts'
import type { PartitionFiles } from './partition-files.ts'
import { type ScrubbedLog, Scrubber } from './scrubber.ts'

export interface DirectoryDamageOptions {
  readonly env: Pick<Env, 'disk' | 'clock'>
  /** Of the directory. */
  readonly path: string
  readonly settings: LogDirectorySettings
  readonly logger: Logger
  readonly logs: () => readonly ScrubbedLog[]
  readonly scrubsFirst?: (name: PartitionName) => boolean
  /** The disk failed. */
  readonly onFailure: (error: Error) => void
}

export class DirectoryDamage {
  readonly scrubber: Scrubber<ScrubbedLog>
  readonly #options: DirectoryDamageOptions
  readonly #byName = new Map<string, PagelogError>()
  /** In whose folders it is written. */
  readonly #marked = new Set<string>()
  readonly #listeners = new Set<(found: PartitionName) => void>()

  constructor(options: DirectoryDamageOptions) {
    const { env, settings, logger, logs, scrubsFirst, path } = options
    this.#options = options
    const nameOf = ({ directory }: ScrubbedLog): string => directory.slice(path.length + 1)
    this.scrubber = new Scrubber({
      ...{ clock: env.clock, settings, logger },
      logs: () => (this.#byName.size === 0 ? logs() : logs().filter((log) => !this.#byName.has(nameOf(log)))),
      isFirst: (log) => scrubsFirst?.(parsePartitionName(nameOf(log))!) ?? true,
      onDamage: (log, error) => this.found(nameOf(log), error),
    })
  }

  /** Of `topic-partition`. */
  get(name: string): PagelogError | undefined {
    return this.#byName.get(name)
  }
  has(name: string): boolean {
    return this.#byName.has(name)
  }
  get names(): string[] {
    return [...this.#byName.keys()]
  }

  /** `listener` is called for each log that is found to be damaged. Returns the unsubscribe. */
  onFound(listener: (found: PartitionName) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  found(name: string, error: PagelogError): void {
    const { path, position, offset } = error
    this.#options.logger.error(
      { err: error, partition: name, path, position, offset },
      'a log is damaged, and served on',
    )
    this.#byName.set(name, error)
    for (const listener of this.#listeners) listener(parsePartitionName(name)!)
  }

  /** The log is gone, or is looked at anew. */
  forget(name: string): void {
    this.#byName.delete(name)
    this.#marked.delete(name)
  }

  /** Puts the mark into the folder. Errors: PAGELOG_DISK_FULL, PAGELOG_STORAGE. */
  async mark(name: string): Promise<void> {
    const error = this.#byName.get(name)
    if (error === undefined || this.#marked.has(name)) return
    const { path, position, message: reason } = error
    const text = JSON.stringify({ reason, path, position })
    try {
      await this.#options.env.disk.replaceFile(this.#markOf(name), new TextEncoder().encode(text))
    } catch (cause) {
      if (!hasCode(cause, 'PAGELOG_DISK_FULL')) this.#options.onFailure(cause as Error)
      throw cause
    }
    this.#marked.add(name)
  }

  /** Knows the damage that an earlier process marked. */
  read(name: string, files: PartitionFiles): void {
    if (!files.has(DAMAGED_FILE)) return
    const path = this.#markOf(name)
    this.#marked.add(name)
    this.found(name, new PagelogError('PAGELOG_CORRUPT', `log is damaged: see ${DAMAGED_FILE}`, { path }))
  }

  #markOf(name: string): string {
    return `${this.#options.path}/${name}/${DAMAGED_FILE}`
  }
}
