/**
 * A directory of logs, one subdirectory `<topic>-<partition>` each, in Kafka's layout. One process at a time holds it.
 *
 *   .lock                             held while open
 *   meta.properties                   node, cluster and directory id
 *   .kafka_cleanshutdown              there only while nobody serves: written last, after all is synced; deleted first
 *   *-offset-checkpoint               see directory-checkpoints.ts
 *
 * A failed write anywhere takes the whole directory offline until restart (reliability L5).
 */
import { hasCode, type Logger, overlaid, PagelogError, resolveSettings, silentLogger } from '../base/index.ts'
import type { FileLock } from '../env/index.ts'
import { someAtOnce } from './at-once.ts'
import { Cleaner, type CleanerStats } from './compaction/cleaner.ts'
import { compactionLimitsOf } from './compaction/cleaner-settings.ts'
import { DirectoryCheckpoints, type KnownOffsets, type OffsetsAtOpen } from './directory-checkpoints.ts'
import { DirectoryDamage } from './directory-damage.ts'
import { DirectoryUpkeep } from './directory-upkeep.ts'
import {
  CLEAN_SHUTDOWN_FILE,
  CLUSTER_METADATA_TOPIC,
  DAMAGED_DIRECTORY_SUFFIX,
  DELETE_DIRECTORY_SUFFIX,
  LOCK_FILE,
  nameOf,
  type PartitionName,
  parsePartitionName,
  STRAY_DIRECTORY_SUFFIX,
} from './file-names.ts'
import { Log } from './log.ts'
import type { LogDirectoryOptions, OpenLogOptions } from './log-directory-options.ts'
import { checkLogName } from './log-name.ts'
import { type LogDirectorySettings, type LogSettings, logDirectorySettings, logSettings } from './log-settings.ts'
import { type LogDirectoryStats, sumStats } from './log-stats.ts'
import { type MetaProperties, openMetaProperties, randomId } from './meta-properties.ts'
import { type RepairOptions, type RepairReport, repairLog } from './on-demand.ts'
import { PartitionFiles } from './partition-files.ts'
import { readTopicId, writeFirstFiles, writeTopicId } from './partition-metadata.ts'
import { hasRoomToKeep, takeAway } from './partition-removal.ts'
import { retainAll } from './retention-pass.ts'
import { SegmentCache } from './segment-cache.ts'

/** Partitions opened at the same time: enough to keep the thread pool busy. */
const OPENS_AT_ONCE = 8
/** Syncs of the same directory's files go to the device together. */
const CLOSES_AT_ONCE = 64
const NOTHING = (): void => {}
const CLEAN_SHUTDOWN_TEXT = '{"version":0,"brokerEpoch":-1}'

type NewPartition = PartitionName & { topicId: string; logStartOffset: number; settings: LogSettings }

interface Partition extends PartitionName {
  readonly log: Log
  topicId: string | undefined
}

export class LogDirectory {
  readonly path: string
  readonly settings: LogDirectorySettings
  /** Whether the last process closed the directory, so that nothing had to be recovered. */
  readonly wasClean: boolean
  /** Logs that are open and damaged. */
  readonly knownDamage: DirectoryDamage
  readonly #options: LogDirectoryOptions
  readonly #logger: Logger
  readonly #lock: FileLock
  readonly #meta: MetaProperties
  readonly #partitions = new Map<string, Partition>()
  readonly #creating = new Map<string, Promise<Log>>()
  readonly #removing = new Map<string, Promise<void>>()
  /** Partitions that could not be opened, by name: they are left as they are. */
  readonly #damaged = new Map<string, PagelogError>()
  readonly #listeners = new Set<(error: Error) => void>()
  #failure: Error | undefined
  readonly #upkeep: DirectoryUpkeep
  #retaining: Promise<void> | undefined
  readonly #cache: SegmentCache
  readonly #checkpoints: DirectoryCheckpoints
  readonly #cleaner: Cleaner
  #closing: Promise<void> | undefined

  private constructor(
    options: LogDirectoryOptions,
    held: { lock: FileLock; meta: MetaProperties; wasClean: boolean },
    known: KnownOffsets,
  ) {
    this.path = options.path
    this.settings = resolveSettings(logDirectorySettings, options.settings)
    this.#cache = new SegmentCache(this.settings)
    this.wasClean = held.wasClean
    this.#options = options
    this.#logger = options.logger ?? silentLogger
    this.#lock = held.lock
    this.#meta = held.meta
    const partitions = { open: this.#partitions, damaged: this.#damaged }
    this.#checkpoints = new DirectoryCheckpoints(options.env, this.path, known, partitions)
    const logs = () => [...this.#partitions.values()].map(({ log }) => log)
    const { clock } = options.env
    const { settings, path } = this
    const logger = this.#logger
    this.#cleaner = new Cleaner({ clock, settings, logger, logs })
    const onFailure = (error: Error): void => this.#goOffline(error)
    this.knownDamage = new DirectoryDamage({ ...options, settings, logger, logs, onFailure })
    this.#upkeep = new DirectoryUpkeep({
      ...{ clock, settings, path, logger, logs },
      checkpoint: () => this.#checkpoint(),
      applyRetention: () => this.applyRetention(),
      isOver: () => this.#failure !== undefined || this.#closing !== undefined,
      onFailure,
    })
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
      const known = await DirectoryCheckpoints.read(env.disk, path)
      directory = new LogDirectory(options, { lock, meta, wasClean }, known)
      await directory.#openPartitions()
      directory.#upkeep.start()
      directory.#cleaner.start()
      directory.knownDamage.scrubber.start()
      return directory
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

  /** Writes partition.metadata where it is missing or damaged. Errors: PAGELOG_DISK_FULL, PAGELOG_STORAGE. */
  async nameTopic(topic: string, partition: number, topicId: string): Promise<void> {
    const name = `${topic}-${partition}`
    const found = this.#partitions.get(name)
    if (found === undefined || found.topicId !== undefined) return
    await writeTopicId(this.#options.env.disk, `${this.path}/${name}`, topicId).catch((error: Error) => {
      if (hasCode(error, 'PAGELOG_STORAGE')) this.#goOffline(error)
      throw error
    })
    found.topicId = topicId
  }

  /** Of partition.metadata; undefined when the partition is unknown or has none. */
  topicId(topic: string, partition: number): string | undefined {
    return this.#partitions.get(`${topic}-${partition}`)?.topicId
  }

  /**
   * Begins a partition at `logStartOffset`, durable when it returns; one that exists is returned as it is, one that is
   * being removed is waited for. `topicId`: base64url uuid. Errors: PAGELOG_DISK_FULL, PAGELOG_STORAGE, PAGELOG_CORRUPT (a
   * damaged one has the name), PAGELOG_CLOSED.
   */
  create(topic: string, partition: number, topicId?: string, settings?: LogSettings, logStartOffset = 0): Promise<Log> {
    const name = `${topic}-${partition}`
    const existing = this.#partitions.get(name)
    if (existing !== undefined) return Promise.resolve(existing.log)
    const refusal = this.#refusal() ?? this.#damaged.get(name)
    if (refusal !== undefined) return Promise.reject(refusal)
    const running = this.#creating.get(name)
    if (running !== undefined) return running
    const again = (): Promise<Log> => this.create(topic, partition, topicId, settings, logStartOffset)
    if (this.#removing.has(name)) return this.#removing.get(name)!.then(again)
    const id = topicId ?? randomId(this.#options.env.random)
    const wanted = { topic, partition, topicId: id, logStartOffset, settings: settings ?? this.#settingsOf(topic) }
    const creating = this.#create(wanted).finally(() => this.#creating.delete(name))
    this.#creating.set(name, creating)
    return creating
  }

  /**
   * The log of that name for a program that embeds it: begun when missing. `settings` hold from now on until they are
   * given anew; they are not stored, so give them at every start. Errors: as `create`, PAGELOG_INVALID_ARGUMENT for a
   * name, PAGELOG_INVALID_SETTING.
   */
  async open(name: string, options: OpenLogOptions = {}): Promise<Log> {
    const { partition = 0, settings } = options
    checkLogName(name, partition)
    const refusal = this.#refusal()
    if (refusal !== undefined) throw refusal
    if (settings === undefined) return await this.create(name, partition)
    const resolved = resolveSettings(logSettings, overlaid(this.#settingsOf(name), settings))
    const log = await this.create(name, partition, undefined, resolved)
    log.configure(resolved)
    return log
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Closes and deletes a partition; nothing happens when it is unknown. Reads under way keep their bytes. */
  async remove(topic: string, partition: number, suffix = DELETE_DIRECTORY_SUFFIX): Promise<void> {
    const name = `${topic}-${partition}`
    const found = this.#partitions.get(name)
    if (found === undefined && !this.#damaged.has(name)) return await this.#removing.get(name)
    if (this.#closing !== undefined) throw this.#closedError()
    this.#partitions.delete(name)
    this.#damaged.delete(name)
    this.#checkpoints.forget(name)
    this.knownDamage.forget(name)
    const removing = this.#remove(name, found?.log, suffix).finally(() => this.#removing.delete(name))
    this.#removing.set(name, removing)
    await removing
  }

  /**
   * As `remove`, but its files stay in a folder that is never opened; for who operates the broker to look at or remove.
   * Those of a damaged log only where the disk has room enough; false: they are gone.
   */
  async setAside(topic: string, partition: number, why: 'stray' | 'damaged' = 'stray'): Promise<boolean> {
    const { disk } = this.#options.env
    const isKept = why === 'stray' || (await hasRoomToKeep(disk, this.path, nameOf({ topic, partition })))
    const suffix = why === 'stray' ? STRAY_DIRECTORY_SUFFIX : DAMAGED_DIRECTORY_SUFFIX
    await this.remove(topic, partition, isKept ? suffix : DELETE_DIRECTORY_SUFFIX)
    return isKept
  }

  async #remove(name: string, log: Log | undefined, suffix: string): Promise<void> {
    await log?.abandon()
    try {
      await takeAway(this.#options.env, this.path, name, suffix)
    } catch (error) {
      this.#goOffline(error as Error)
      throw error
    }
    await this.#upkeep.checkpoint()
  }

  /**
   * Repairs the files of a partition, see `repairLog`; one of `damaged` is served afterwards when it can be. A log that is
   * open is closed for it: `get` gives its successor. Errors: PAGELOG_NOT_FOUND, and those of `repairLog`.
   */
  async repair(topic: string, partition: number, options: RepairOptions = {}): Promise<RepairReport> {
    const name = `${topic}-${partition}`
    const path = `${this.path}/${name}`
    const log = this.#partitions.get(name)?.log
    const isKnown = log !== undefined || this.#damaged.has(name)
    const unknown = isKnown ? undefined : new PagelogError('PAGELOG_NOT_FOUND', `no partition ${name}`, { path })
    const refusal = this.#refusal() ?? unknown
    if (refusal !== undefined) throw refusal
    this.#partitions.delete(name)
    this.knownDamage.forget(name)
    this.#damaged.set(name, new PagelogError('PAGELOG_CORRUPT', 'the partition is being repaired', { path }))
    const repairing = this.#repair({ topic, partition }, log, options).finally(() => this.#removing.delete(name))
    this.#removing.set(name, repairing.then(NOTHING, NOTHING))
    return await repairing
  }

  async #repair(partition: PartitionName, log: Log | undefined, options: RepairOptions): Promise<RepairReport> {
    const name = nameOf(partition)
    const target = { env: this.#options.env, directory: `${this.path}/${name}` }
    let { recoveryPoint, logStartOffset, firstDirtyOffset }: OffsetsAtOpen = log ?? this.#checkpoints.knownOf(name)
    try {
      await log?.abandon()
      const settings = this.#settingsOf(partition.topic)
      const report = await repairLog({ ...target, settings, compactedEnd: firstDirtyOffset ?? 0 }, options)
      // With damage left the log must refuse to open as before, not be cut there.
      if (report.remaining.length === 0) recoveryPoint = Math.min(recoveryPoint, report.logEndOffset)
      return report
    } finally {
      this.#checkpoints.know(name, { recoveryPoint, logStartOffset, firstDirtyOffset })
      await this.#openFound(partition, { recoveryPoint, logStartOffset, firstDirtyOffset })
      await this.#checkpoint()
    }
  }

  /** Applies retention to every log now, as log.retention.check.interval.ms does. Rejects with the first failure. */
  applyRetention(): Promise<void> {
    const logs = [...this.#partitions.values()].map(({ log }) => log)
    this.#retaining ??= retainAll(logs, this.#options.env.clock).finally(() => {
      this.#retaining = undefined
    })
    return this.#retaining
  }

  /** What all logs together are and have done since they were opened; walks over every segment. */
  stats(): LogDirectoryStats {
    const logs = [...this.#partitions.values()].map(({ log }) => log.stats())
    return sumStats(logs, this.#damaged.size)
  }

  /** What compaction does by itself. */
  get cleaner(): CleanerStats {
    return this.#cleaner.stats
  }

  /** Compacts now the logs that are dirty enough, as the cleaner does every log.cleaner.backoff.ms; failures are logged. */
  compact(): Promise<void> {
    return this.#cleaner.clean()
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
      else if (partition !== undefined && partition.topic !== CLUSTER_METADATA_TOPIC) found.push(partition)
    }
    await someAtOnce(found, OPENS_AT_ONCE, (partition) => this.#openFound(partition))
    await this.#checkpoints.settle()
  }

  /** `known`: it was repaired. */
  async #openFound(partition: PartitionName, known?: OffsetsAtOpen): Promise<void> {
    const name = nameOf(partition)
    const { disk } = this.#options.env
    const path = `${this.path}/${name}`
    try {
      // Asked for only when it fails: of thousands all but a few are directories.
      const files = await PartitionFiles.scan(disk, path).catch(async (error: Error) => {
        if ((await disk.status(path))?.isDirectory) throw error
      })
      if (files === undefined) return
      const topicId = await readTopicId(files)
      const offsets = known ?? this.#checkpoints.knownOf(name)
      const log = await this.#openLog(partition, files, offsets, known !== undefined)
      // The checkpoints are about to name it, which then says that it is known whether it was compacted: gaps that were
      // believed now must not be looked at again.
      if (offsets.firstDirtyOffset === undefined && log.segmentCount > 1) await log.flush()
      this.#damaged.delete(name)
      this.#partitions.set(name, { ...partition, log, topicId })
      this.knownDamage.read(name, files)
    } catch (error) {
      if (!hasCode(error, 'PAGELOG_CORRUPT') && !hasCode(error, 'PAGELOG_UNSUPPORTED')) throw error
      this.#damaged.set(name, error)
      this.#logger.error({ err: error, partition: name, path: error.path }, 'partition is damaged and not served')
    }
  }

  #openLog(
    { topic, partition }: PartitionName,
    files: PartitionFiles,
    { recoveryPoint, logStartOffset, firstDirtyOffset }: OffsetsAtOpen,
    wasRepaired: boolean,
  ): Promise<Log> {
    const { env, beforeCut = async () => {} } = this.#options
    const name = nameOf({ topic, partition })
    return Log.open({
      env,
      directory: `${this.path}/${name}`,
      settings: this.#settingsOf(topic),
      recoveryPoint,
      logStartOffset,
      cleanShutdown: this.wasClean && !wasRepaired,
      files,
      beforeCut: () => beforeCut({ topic, partition }),
      persist: this.#checkpoints.persistenceOf(name),
      compaction: { limits: compactionLimitsOf(this.settings), firstDirtyOffset },
      cache: this.#cache,
      logger: this.#logger,
      onFailure: (error) => this.#goOffline(error),
    })
  }

  async #create({ topic, partition, topicId, logStartOffset, settings }: NewPartition): Promise<Log> {
    const { env } = this.#options
    const name = nameOf({ topic, partition })
    const directory = `${this.path}/${name}`
    let log: Log | undefined
    try {
      // It must not be measured by the recovery point of an earlier one of that name.
      await this.#checkpoints.writeIfStale()
      await env.disk.makeDirectory(directory)
      await writeFirstFiles(env.disk, directory, topicId, logStartOffset)
      const persist = this.#checkpoints.persistenceOf(name)
      const compaction = { limits: compactionLimitsOf(this.settings), firstDirtyOffset: logStartOffset }
      const shared = { persist, compaction, cache: this.#cache, logger: this.#logger }
      const options = { recoveryPoint: logStartOffset, logStartOffset, cleanShutdown: true, ...shared }
      log = await Log.open({ env, directory, settings, ...options, onFailure: (error) => this.#goOffline(error) })
      await env.disk.syncDirectory(directory) // its own name is: `makeDirectory` syncs what it makes
      const refusal = this.#refusal()
      if (refusal !== undefined) throw refusal
    } catch (error) {
      await log?.close({ clean: false })
      if (hasCode(error, 'PAGELOG_STORAGE')) this.#goOffline(error)
      throw error
    }
    this.#partitions.set(name, { topic, partition, log, topicId })
    return log
  }

  #settingsOf(topic: string): LogSettings {
    return this.#options.settingsOf?.(topic) ?? this.#options.defaults
  }

  #refusal(): PagelogError | undefined {
    if (this.#failure !== undefined) {
      return new PagelogError('PAGELOG_STORAGE', 'log directory is offline', { path: this.path, cause: this.#failure })
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

  async #checkpoint(): Promise<void> {
    if (this.#failure === undefined) await this.#checkpoints.write()
  }

  async #close(clean: boolean): Promise<void> {
    this.#upkeep.stop()
    this.#cleaner.stop()
    const { disk } = this.#options.env
    try {
      const reading = this.knownDamage.scrubber.stop()
      await Promise.allSettled([...this.#creating.values(), ...this.#removing.values(), ...reading])
      await closeLogs(this.#partitions.values(), clean)
      if (!clean || this.#failure !== undefined) return
      await this.#checkpoint()
      // With a damaged partition the next start must look again, so the directory does not count as closed.
      if (this.#damaged.size > 0) return
      await disk.replaceFile(`${this.path}/${CLEAN_SHUTDOWN_FILE}`, new TextEncoder().encode(CLEAN_SHUTDOWN_TEXT))
    } finally {
      // Behind the lock a write under way would overwrite what the next process says.
      await this.#checkpoints.stop()
      await this.#lock.release()
    }
  }
}

async function closeLogs(partitions: Iterable<Partition>, clean: boolean): Promise<void> {
  await someAtOnce(partitions, CLOSES_AT_ONCE, ({ log }) => log.close({ clean }))
}
