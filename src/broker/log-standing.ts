/**
 * Which of this directory's logs have all that their broker vouched for. Decided at start, and written down until the
 * cluster knows: a process that dies in between leaves it to the next. A log that is missing is begun only after that.
 *
 * Not trusted are
 * - all logs, when the machine booted since and the directory was not closed (those that are synced with each append
 *   excepted), when the disk failed, when the directory was copied or moved here, when nobody has lived in it, or when it
 *   does not know of the broker's last life (a backup was put back);
 * - a log that is missing although this broker is in ISR or ELR;
 * - a log of which recovery cut off more than one unfinished write, on the boot that wrote it;
 * - and a log that cannot be opened, or says that it is another topic's, must not even lead.
 */
import { hasCode, PagelogError } from '../base/index.ts'
import type { Disk } from '../env/index.ts'
import type { LogDirectory } from '../log/index.ts'
import { type ClusterImage, failedKey, type KeyValue, lifeKey, type MetadataStore } from '../metadata/index.ts'
import { IncarnationFile, type PastLives, type ReplicaLog } from '../replication/cluster/index.ts'

export interface LogStandingOptions {
  readonly disk: Disk
  readonly path: string
  readonly bootId: string
  readonly incarnation: string
  readonly nodeId: number
  readonly store: MetadataStore
  readonly image: ClusterImage
  /** Whether the broker's settings sync each append of a topic that has none of its own for that. */
  readonly syncsByDefault: boolean
  /**
   * Whether nothing that was acknowledged can be missing from a log of the topic after a power loss. The topic's own
   * settings are those of before; the broker's count where `byDefault` says that they were the same in all its lives.
   */
  isSynced(topicName: string, byDefault: boolean): boolean
}

type Doubt = 'none' | 'rebooted' | 'all'

/** Of the key of this broker's life: another attempt may still be on its way. */
const CLAIMS_MAX = 3

const TRUSTED: ReplicaLog = { standing: 'trusted', end: [-1, 0] }
const BROKEN: ReplicaLog = { standing: 'broken', end: [-1, 0] }

export class LogStanding {
  readonly #options: LogStandingOptions
  readonly #file: IncarnationFile
  #before: PastLives | undefined
  readonly #place: string | undefined
  #directory: LogDirectory | undefined
  #doubt: Doubt = 'none'
  /** Of what is in the directory now, as far as the broker's settings tell. */
  #isSynced = false
  /** `topicId/index`. */
  #suspects: ReadonlySet<string> = new Set()
  readonly #broken = new Set<string>()
  #hasReturned = false
  /** An earlier life had said so in the store. */
  #wasFailed = false
  #hasFailed = false
  #writing: Promise<void> = Promise.resolve()

  private constructor(options: LogStandingOptions, before: PastLives | undefined, place: string | undefined) {
    this.#options = options
    this.#file = new IncarnationFile(options.disk, options.path)
    this.#before = before
    this.#place = place
  }

  /** Writes nothing. Error: PAGELOG_CORRUPT. */
  static async read(options: LogStandingOptions): Promise<LogStanding> {
    const { disk, path } = options
    const before = await new IncarnationFile(disk, path).read()
    const status = await disk.status(path)
    return new LogStanding(options, before, status?.place)
  }

  /** Of this process. */
  get incarnation(): string {
    return this.#options.incarnation
  }

  get #wasSynced(): boolean {
    return this.#before?.synced === true
  }

  /** Earlier incarnations of this directory. */
  get past(): readonly string[] {
    return this.#before?.incarnations ?? []
  }

  /** Whether they are dead for sure: they held the lock that this process has, and not that of another copy. */
  get arePastLivesOver(): boolean {
    const { bootId } = this.#options
    return this.#before?.bootId === bootId && this.#before.place === this.#place
  }

  /** Decides what can be trusted and writes it down. Before a log is created in the directory. */
  async settle(directory: LogDirectory): Promise<void> {
    const { bootId, store, nodeId, syncsByDefault } = this.#options
    this.#directory = directory
    const before = this.#before
    const [{ pair: failed }, { pair: last }] = await Promise.all([
      store.get(failedKey(nodeId)),
      store.get(lifeKey(nodeId)),
    ])
    const isRebooted = bootId === '' || before?.bootId !== bootId
    const isOlder = last !== undefined && !this.#isOfDirectory(last)
    if (before === undefined || before.suspects === 'all' || failed !== undefined || this.#isElsewhere || isOlder) {
      this.#doubt = 'all'
    } else if (isRebooted && !directory.wasClean) {
      this.#doubt = 'rebooted'
    }
    this.#suspects = new Set(before?.suspects === 'all' ? [] : before?.suspects)
    this.#wasFailed = failed !== undefined
    // A clean close synced whatever there was; of what is doubted nobody knows.
    const wasSynced = this.#doubt !== 'all' && (before?.synced === true || directory.wasClean)
    this.#isSynced = syncsByDefault && (wasSynced || directory.partitions().length === 0)
    await this.#write()
    // After the file: a process that dies in between leaves a directory that knows of more than the store does.
    await this.#claim(last)
  }

  /**
   * Recovery is about to cut a log that a process of this boot had written further: what it lacks then is damage, for a
   * process that is killed leaves at most one write unfinished. Written down first, for afterwards nothing tells it.
   */
  async cut(topic: string, index: number): Promise<void> {
    const { bootId, image } = this.#options
    const id = image.topic(topic)?.id
    const before = this.#before
    // After another boot that is what a power loss does, and `settle` knows what to make of it. After `settle` nobody starts.
    if (bootId === '' || before?.bootId !== bootId || this.#directory !== undefined) return
    if (id === undefined || before.suspects === 'all') return
    this.#before = { ...before, suspects: [...(before.suspects ?? []), keyOf(id, index)] }
    await this.#inTurn(() => this.#file.write(this.#before!))
  }

  logOf(topicId: string, index: number): ReplicaLog {
    if (this.#hasFailed) return BROKEN
    const { image, isSynced } = this.#options
    const directory = this.#directory!
    const topic = image.topicById(topicId)
    const key = keyOf(topicId, index)
    if (topic && directory.damaged.has(`${topic.name}-${index}`)) return BROKEN
    const log = topic && directory.get(topic.name, index)
    const stored = (topic && directory.topicId(topic.name, index)) ?? topicId
    if (!log || stored !== topicId) {
      // Of a topic that is not being removed: its place is taken until another replica leads.
      if (this.#broken.has(key) || (log && !image.deleted.has(stored))) return BROKEN
      // Later on it is a new one, which is being created.
      return this.#hasReturned ? TRUSTED : { standing: 'suspect', end: [-1, 0] }
    }
    const isSuspect =
      this.#doubt === 'all' ||
      this.#suspects.has(key) ||
      (this.#doubt === 'rebooted' && !isSynced(topic.name, this.#wasSynced))
    const isDamaged = directory.knownDamage.has(`${topic.name}-${index}`)
    return { standing: isSuspect ? 'suspect' : 'trusted', end: [log.leaderEpoch, log.logEndOffset], isDamaged }
  }

  /** The cluster knows what cannot be trusted; from now on this process vouches for what it has. */
  async returned(): Promise<void> {
    if (this.#hasReturned) return
    const { store, nodeId } = this.#options
    const hadDoubts = this.#doubt !== 'none' || this.#suspects.size > 0
    this.#hasReturned = true
    if (!hadDoubts) return
    this.#doubt = 'none'
    this.#suspects = new Set()
    await this.#write()
    if (this.#wasFailed) await store.transact([], [{ type: 'delete', key: failedKey(nodeId) }])
  }

  /** The log could not be opened. */
  broke(topicId: string, index: number): void {
    this.#broken.add(keyOf(topicId, index))
  }

  /**
   * The disk failed: no log can be trusted any more, also by the next life. Resolves when one of file and store has that;
   * rejects when neither takes it.
   */
  async failed(): Promise<void> {
    const { store, nodeId, incarnation } = this.#options
    this.#hasFailed = true
    this.#doubt = 'all'
    this.#isSynced = false
    const value = JSON.stringify({ incarnation })
    const told = store.transact([], [{ type: 'put', key: failedKey(nodeId), value }])
    await Promise.any([this.#write(), told])
  }

  /** Another folder than the one that was written in: a copy, or a copy that was brought back. */
  get #isElsewhere(): boolean {
    const inode = (place: string | undefined): string | undefined => place?.slice(place.indexOf(':'))
    const [then, now] = [inode(this.#before?.place), inode(this.#place)]
    return then !== undefined && now !== undefined && then !== now
  }

  /** Whether the life that the store knows of is one of this directory's. */
  #isOfDirectory({ value }: KeyValue): boolean {
    const { incarnation = '' } = JSON.parse(value) as { incarnation?: string }
    return this.past.includes(incarnation) || incarnation === this.#options.incarnation
  }

  /** Makes this life the broker's last one. */
  async #claim(last: KeyValue | undefined): Promise<void> {
    const { store, nodeId, incarnation } = this.#options
    const key = lifeKey(nodeId)
    const value = JSON.stringify({ incarnation })
    let before = last
    for (let attempt = 0; attempt < CLAIMS_MAX; attempt++) {
      const compare = { key, field: 'modRevision', equals: before?.modRevision ?? 0 } as const
      try {
        if ((await store.transact([compare], [{ type: 'put', key, value }])).succeeded) return
      } catch (error) {
        if (!hasCode(error, 'PAGELOG_OUTCOME_UNKNOWN')) throw error
      }
      before = (await store.get(key)).pair
      if (before?.value === value) return
      // An earlier life's attempt that came late is no reason to give up; another directory's is.
      if (before !== undefined && before.modRevision !== last?.modRevision && !this.#isOfDirectory(before)) break
    }
    const message = `node.id=${nodeId} could not be claimed: it is being started on another log directory, too`
    throw new PagelogError('PAGELOG_INVALID_ARGUMENT', message)
  }

  #write(): Promise<void> {
    const { bootId, incarnation } = this.#options
    const write = async (): Promise<void> => {
      const suspects = this.#written()
      const place = this.#place
      const incarnations = [incarnation, ...this.past]
      await this.#file.write({
        bootId,
        incarnations,
        ...(place ? { place } : {}),
        ...(suspects ? { suspects } : {}),
        ...(this.#isSynced ? { synced: true } : {}),
      })
    }
    return this.#inTurn(write)
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.catch(() => {}).then(write)
    return this.#writing
  }

  /** Synced logs are told apart by the next start too: it finds the same boot, so it is written which they are not. */
  #written(): PastLives['suspects'] {
    if (this.#doubt === 'all') return 'all'
    const suspects = [...this.#suspects]
    if (this.#doubt === 'rebooted') suspects.push(...this.#unsynced())
    return suspects.length > 0 ? suspects : undefined
  }

  *#unsynced(): IterableIterator<string> {
    const { image, isSynced, nodeId } = this.#options
    for (const { name, id, partitions } of image.topics()) {
      if (isSynced(name, this.#wasSynced)) continue
      for (const { index, replicas } of partitions) if (replicas.includes(nodeId)) yield keyOf(id, index)
    }
  }
}

function keyOf(topicId: string, index: number): string {
  return `${topicId}/${index}`
}
