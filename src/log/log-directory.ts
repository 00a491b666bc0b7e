/**
 * A directory of logs, one subdirectory `<topic>-<partition>` each, in Kafka's layout. One process at a time holds it.
 *
 *   .lock                             held while open
 *   meta.properties                   node, cluster and directory id
 *   .kafka_cleanshutdown              there only while nobody serves: written last, after all is synced; deleted first
 *   recovery-point-offset-checkpoint  per partition, every minute and at close; only what fsync has covered
 *   log-start-offset-checkpoint       the same for logs whose first records were given up
 *
 * A failed write anywhere takes the whole directory offline until restart (reliability L5).
 */
import { hasCode, type Logger, PagelogError, silentLogger } from '../base/index.ts'
import type { Env, FileLock, Timer } from '../env/index.ts'
import {
  CLEAN_SHUTDOWN_FILE,
  DELETE_DIRECTORY_SUFFIX,
  LOCK_FILE,
  LOG_START_OFFSET_FILE,
  type PartitionName,
  parsePartitionName,
  RECOVERY_POINT_FILE,
} from './file-names.ts'
import { Log } from './log.ts'
import type { LogSettings } from './log-settings.ts'
import { type MetaProperties, openMetaProperties, randomId } from './meta-properties.ts'
import {
  type PartitionOffset,
  type PartitionOffsets,
  readOffsetCheckpoint,
  writeOffsetCheckpoint,
} from './offset-checkpoint.ts'
import { readTopicId, writeTopicId } from './partition-metadata.ts'

const CHECKPOINT_INTERVAL_MS = 60_000
/** producer.id.expiration.ms of Kafka. */
const PRODUCER_EXPIRATION_MS = 86_400_000
/** Partitions opened at the same time: enough to keep the thread pool busy. */
const OPENS_AT_ONCE = 8
/** Kafka's own log of its metadata lies beside the partitions and is none. */
const CLUSTER_METADATA_TOPIC = '__cluster_metadata'
const CLEAN_SHUTDOWN_TEXT = '{"version":0,"brokerEpoch":-1}'

export interface LogDirectoryOptions {
  readonly env: Pick<Env, 'disk' | 'clock' | 'random'>
  readonly path: string
  readonly defaults: LogSettings
  readonly logger?: Logger
  /** Settings of a topic found at open; `defaults` without it. */
  readonly settingsOf?: (topic: string) => LogSettings
  /** Must agree with meta.properties when that is there; 0 and a random id for a new directory without it. */
  readonly nodeId?: number
  readonly clusterId?: string
}

interface Partition extends PartitionName {
  readonly log: Log
  readonly topicId: string | undefined
}

export class LogDirectory {
  readonly path: string
  /** Whether the last process closed the directory, so that nothing had to be recovered. */
  readonly wasClean: boolean
  readonly #options: LogDirectoryOptions
  readonly #logger: Logger
  readonly #lock: FileLock
  readonly #meta: MetaProperties
  readonly #recoveryPoints: PartitionOffsets
  readonly #logStarts: PartitionOffsets
  readonly #partitions = new Map<string, Partition>()
  readonly #creating = new Map<string, Promise<Log>>()
  readonly #removing = new Map<string, Promise<void>>()
  /** The checkpoint file still names a partition that was removed. */
  #checkpointIsStale = false
  /** Partitions that could not be opened, by name: they are left as they are. */
  readonly #damaged = new Map<string, PagelogError>()
  readonly #listeners = new Set<(error: Error) => void>()
  #failure: Error | undefined
  #timer: Timer | undefined
  #checkpointing: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  private constructor(
    options: LogDirectoryOptions,
    held: { lock: FileLock; meta: MetaProperties; wasClean: boolean },
    offsets: { recoveryPoints: PartitionOffsets; logStarts: PartitionOffsets },
  ) {
    this.path = options.path
    this.wasClean = held.wasClean
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#lock = held.lock
    this.#meta = held.meta
    this.#recoveryPoints = offsets.recoveryPoints
    this.#logStarts = offsets.logStarts
  }

  /**
   * Opens the directory, creating it when missing, and every partition in it. Partitions damaged below their recovery
   * point are left out, see `damaged`. Errors: PAGELOG_LOCKED, PAGELOG_INVALID_ARGUMENT (another node's), PAGELOG_STORAGE.
   */
  static async open(options: LogDirectoryOptions): Promise<LogDirectory> {
    const { env, path } = options
    await env.disk.makeDirectory(path)
    const lock = await env.disk.lock(`${path}/${LOCK_FILE}`)
    let directory: LogDirectory | undefined
    try {
      const meta = await openMetaProperties(env, path, options)
      const markerPath = `${path}/${CLEAN_SHUTDOWN_FILE}`
      const wasClean = (await env.disk.status(markerPath)) !== undefined
      await env.disk.unlink(markerPath)
      await env.disk.syncDirectory(path)
      const recoveryPoints = await readOffsetCheckpoint(env.disk, `${path}/${RECOVERY_POINT_FILE}`)
      const logStarts = await readOffsetCheckpoint(env.disk, `${path}/${LOG_START_OFFSET_FILE}`)
      const opened = new LogDirectory(options, { lock, meta, wasClean }, { recoveryPoints, logStarts })
      directory = opened
      await opened.#openPartitions()
      opened.#timer = env.clock.every(CHECKPOINT_INTERVAL_MS, () => opened.#tick())
      return opened
    } catch (error) {
      if (directory !== undefined) await closeLogs(directory.#partitions.values(), false)
      await lock.release()
      throw error
    }
  }

  get nodeId(): number {
    return this.#meta.nodeId
  }
  get clusterId(): string {
    return this.#meta.clusterId
  }
  get directoryId(): string {
    return this.#meta.directoryId
  }
  /** A failed write stopped everything here until restart. */
  get offline(): boolean {
    return this.#failure !== undefined
  }
  /** Why partitions could not be opened, by `topic-partition`. */
  get damaged(): ReadonlyMap<string, PagelogError> {
    return this.#damaged
  }

  /** `listener` is called once when the directory goes offline. Returns the unsubscribe. */
  onOffline(listener: (error: Error) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** By topic, then partition. */
  partitions(): PartitionName[] {
    const names = [...this.#partitions.values()].map(({ topic, partition }) => ({ topic, partition }))
    return names.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#partitions.get(`${topic}-${partition}`)?.log
  }

  /** Of partition.metadata; undefined when the partition is unknown or has none. */
  topicId(topic: string, partition: number): string | undefined {
    return this.#partitions.get(`${topic}-${partition}`)?.topicId
  }

  /**
   * Begins a partition, durable when it returns; one that exists is returned as it is, one that is being removed is
   * waited for. `topicId`: base64url uuid.
   * Errors: PAGELOG_DISK_FULL, PAGELOG_STORAGE, PAGELOG_CORRUPT (a damaged one has the name), PAGELOG_CLOSED.
   */
  create(topic: string, partition: number, topicId?: string, settings?: LogSettings): Promise<Log> {
    const name = `${topic}-${partition}`
    const existing = this.#partitions.get(name)
    if (existing !== undefined) return Promise.resolve(existing.log)
    const refusal = this.#refusal() ?? this.#damaged.get(name)
    if (refusal !== undefined) return Promise.reject(refusal)
    const running = this.#creating.get(name)
    if (running !== undefined) return running
    const removing = this.#removing.get(name)
    if (removing !== undefined) return removing.then(() => this.create(topic, partition, topicId, settings))
    const id = topicId ?? randomId(this.#options.env.random)
    const creating = this.#create({ topic, partition }, id, settings ?? this.#settingsOf(topic)).finally(() => {
      this.#creating.delete(name)
    })
    this.#creating.set(name, creating)
    return creating
  }

  /** Closes and deletes a partition; nothing happens when it is unknown. Reads under way keep their bytes. */
  async remove(topic: string, partition: number): Promise<void> {
    const name = `${topic}-${partition}`
    const found = this.#partitions.get(name)
    if (found === undefined && !this.#damaged.has(name)) return await this.#removing.get(name)
    if (this.#closing !== undefined) throw this.#closedError()
    this.#partitions.delete(name)
    this.#damaged.delete(name)
    this.#checkpointIsStale = true
    const removing = this.#remove(name, found?.log).finally(() => this.#removing.delete(name))
    this.#removing.set(name, removing)
    await removing
  }

  async #remove(name: string, log: Log | undefined): Promise<void> {
    const { disk, random } = this.#options.env
    await log?.abandon()
    // Renamed first: what is left after a crash is known as garbage by its name, and the name is free at once.
    const unique = [...random.bytes(16)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
    const renamed = `${this.path}/${name}.${unique}${DELETE_DIRECTORY_SUFFIX}`
    try {
      await disk.rename(`${this.path}/${name}`, renamed)
      await disk.syncDirectory(this.path)
      await disk.removeDirectory(renamed)
    } catch (error) {
      this.#goOffline(error as Error)
      throw error
    }
    await this.#checkpoint().catch((error: Error) => this.#checkpointFailed(error))
  }

  /** Idempotent. `clean` (default): all logs are synced and the clean-shutdown marker is written last. */
  close(options: { clean?: boolean } = {}): Promise<void> {
    this.#closing ??= this.#close(options.clean ?? true)
    return this.#closing
  }

  async #openPartitions(): Promise<void> {
    const { disk } = this.#options.env
    const found: PartitionName[] = []
    for (const name of await disk.list(this.path)) {
      const path = `${this.path}/${name}`
      const partition = parsePartitionName(name)
      if (name.endsWith(DELETE_DIRECTORY_SUFFIX) && (await disk.status(path))?.isDirectory)
        await disk.removeDirectory(path)
      else if (partition === undefined || partition.topic === CLUSTER_METADATA_TOPIC) continue
      else if ((await disk.status(path))?.isDirectory) found.push(partition)
    }
    const waiting = found.values()
    const openSome = async (): Promise<void> => {
      for (const partition of waiting) await this.#openFound(partition)
    }
    await allDone(Array.from({ length: OPENS_AT_ONCE }, openSome))
    const names = new Set(found.map(nameOf))
    if ([...this.#recoveryPoints.keys()].some((name) => !names.has(name))) await this.#checkpoint()
  }

  async #openFound(partition: PartitionName): Promise<void> {
    const name = nameOf(partition)
    try {
      const topicId = await readTopicId(this.#options.env.disk, `${this.path}/${name}`)
      const log = await this.#openLog(name, this.#settingsOf(partition.topic), this.wasClean)
      this.#partitions.set(name, { ...partition, log, topicId })
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_CORRUPT') && !hasCode(error, 'PAGELOG_UNSUPPORTED')) throw error
      this.#damaged.set(name, error)
      this.#logger.error({ err: error, partition: name, path: error.path }, 'partition is damaged and not served')
    }
  }

  #openLog(name: string, settings: LogSettings, cleanShutdown: boolean): Promise<Log> {
    return Log.open({
      env: this.#options.env,
      directory: `${this.path}/${name}`,
      settings,
      recoveryPoint: this.#recoveryPoints.get(name) ?? 0,
      logStartOffset: this.#logStarts.get(name) ?? 0,
      cleanShutdown,
      logger: this.#logger,
      onFailure: (error) => this.#goOffline(error),
    })
  }

  async #create(partition: PartitionName, topicId: string, settings: LogSettings): Promise<Log> {
    const { env } = this.#options
    const name = nameOf(partition)
    const directory = `${this.path}/${name}`
    const onFailure = (error: Error): void => this.#goOffline(error)
    let log: Log | undefined
    try {
      // It must not be measured by the recovery point of an earlier one of that name.
      if (this.#checkpointIsStale) await this.#checkpoint()
      await env.disk.makeDirectory(directory)
      await writeTopicId(env.disk, directory, topicId)
      const options = { recoveryPoint: 0, cleanShutdown: true, logger: this.#logger, onFailure }
      log = await Log.open({ env, directory, settings, ...options })
      await env.disk.syncDirectory(directory)
      await env.disk.syncDirectory(this.path)
      const refusal = this.#refusal()
      if (refusal !== undefined) throw refusal
    } catch (error) {
      await log?.close({ clean: false })
      if (hasCode(error, 'PAGELOG_STORAGE')) this.#goOffline(error)
      throw error
    }
    this.#partitions.set(name, { ...partition, log, topicId })
    return log
  }

  #settingsOf(topic: string): LogSettings {
    return this.#options.settingsOf?.(topic) ?? this.#options.defaults
  }

  #refusal(): PagelogError | undefined {
    const fields = { path: this.path }
    if (this.#failure !== undefined) {
      return new PagelogError('PAGELOG_STORAGE', 'log directory is offline', { ...fields, cause: this.#failure })
    }
    return this.#closing === undefined ? undefined : this.#closedError()
  }

  #closedError(): PagelogError {
    return new PagelogError('PAGELOG_CLOSED', 'log directory is closed', { path: this.path })
  }

  #goOffline(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#logger.error({ err: error, path: this.path }, 'log directory is offline until restart')
    for (const { log } of this.#partitions.values()) log.fail(error)
    for (const listener of this.#listeners) listener(error)
  }

  #tick(): void {
    if (this.#failure !== undefined || this.#closing !== undefined) return
    const expiredBefore = this.#options.env.clock.nowMs() - PRODUCER_EXPIRATION_MS
    for (const { log } of this.#partitions.values()) log.expireProducers(expiredBefore)
    this.#checkpoint().catch((error: Error) => this.#checkpointFailed(error))
  }

  /** Older recovery points only mean a longer scan: a full disk is no reason to stop. */
  #checkpointFailed(error: Error): void {
    if (hasCode(error, 'PAGELOG_DISK_FULL')) this.#logger.warn({ err: error }, 'checkpoint could not be written')
    else this.#goOffline(error)
  }

  /** Writes both checkpoint files, one writer at a time. */
  #checkpoint(): Promise<void> {
    const next = this.#checkpointing.then(() => this.#writeCheckpoints())
    this.#checkpointing = next.catch(() => {})
    return next
  }

  async #writeCheckpoints(): Promise<void> {
    if (this.#failure !== undefined) return
    const { disk } = this.#options.env
    const wasStale = this.#checkpointIsStale
    this.#checkpointIsStale = false
    const recoveryPoints: PartitionOffset[] = []
    const logStarts: PartitionOffset[] = []
    for (const { topic, partition, log } of this.#partitions.values()) {
      recoveryPoints.push({ topic, partition, offset: log.recoveryPoint })
      if (log.logStartOffset > 0) logStarts.push({ topic, partition, offset: log.logStartOffset })
    }
    // What could not be opened keeps what is known of it.
    for (const name of this.#damaged.keys()) {
      const partition = parsePartitionName(name)!
      const recoveryPoint = this.#recoveryPoints.get(name)
      const logStart = this.#logStarts.get(name)
      if (recoveryPoint !== undefined) recoveryPoints.push({ ...partition, offset: recoveryPoint })
      if (logStart !== undefined) logStarts.push({ ...partition, offset: logStart })
    }
    try {
      await writeOffsetCheckpoint(disk, `${this.path}/${RECOVERY_POINT_FILE}`, recoveryPoints)
      await writeOffsetCheckpoint(disk, `${this.path}/${LOG_START_OFFSET_FILE}`, logStarts)
    } catch (error) {
      this.#checkpointIsStale ||= wasStale
      throw error
    }
  }

  async #close(clean: boolean): Promise<void> {
    this.#timer?.cancel()
    const { disk } = this.#options.env
    try {
      await Promise.allSettled([...this.#creating.values(), ...this.#removing.values()])
      await closeLogs(this.#partitions.values(), clean)
      if (!clean || this.#failure !== undefined) return
      await this.#checkpoint()
      // With a damaged partition the next start must look again, so the directory does not count as closed.
      if (this.#damaged.size > 0) return
      await disk.replaceFile(`${this.path}/${CLEAN_SHUTDOWN_FILE}`, new TextEncoder().encode(CLEAN_SHUTDOWN_TEXT))
    } finally {
      await this.#lock.release()
    }
  }
}

/** Waits for all of them, then throws the first failure. */
async function allDone(running: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(running)).find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

async function closeLogs(partitions: Iterable<Partition>, clean: boolean): Promise<void> {
  await allDone([...partitions].map(({ log }) => log.close({ clean })))
}

function nameOf({ topic, partition }: PartitionName): string {
  return `${topic}-${partition}`
}
