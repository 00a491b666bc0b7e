/**
 * What a cluster on one host is made of, in `cluster.json` of its folder: so that it can be started again as it was,
 * looked at and stopped by other processes, and so that brokers which outlived their supervisor are found again.
 *
 *   cluster.json      this
 *   supervisor.lock   held by the supervisor
 *   metadata.journal  the metadata store, served on the socket while the supervisor runs
 *   broker-<id>/      log directory of a broker
 *   broker-<id>.log   what it wrote
 */
import { PagelogError } from '../base/index.ts'
import type { Disk, ProcessMark } from '../env/index.ts'

const FILE = 'cluster.json'

export interface BrokerRecord {
  readonly id: number
  /** 0 until it was known once; from then on it stays. */
  readonly port: number
  /** Where it listens, when that is not the cluster's host. */
  readonly host?: string | undefined
  /** The last that was started; it may have ended. */
  readonly process?: ProcessMark | undefined
}

export interface ClusterState {
  readonly host: string
  /** Where the metadata is served. */
  readonly socketPath: string
  /** Settings of all brokers, by dotted name. */
  readonly settings: Readonly<Record<string, string>>
  readonly brokers: readonly BrokerRecord[]
  /** The last that ran; it may have ended. */
  readonly supervisor?: ProcessMark | undefined
  /** The folder that this was written in: a copy of it has another one, and its processes are none of the copy's. */
  readonly place?: string | undefined
}

export interface StoredClusterState extends ClusterState {
  /** Of another folder: no process is known, those that hold the locks in the copied files neither. */
  readonly isCopied: boolean
}

/** undefined: there is no cluster in that folder. Error: PAGELOG_CORRUPT. */
export async function readClusterState(disk: Disk, directory: string): Promise<StoredClusterState | undefined> {
  const path = `${directory}/${FILE}`
  const content = await disk.readFile(path)
  if (content === undefined) return undefined
  try {
    const state = JSON.parse(new TextDecoder().decode(content)) as Partial<ClusterState>
    if (typeof state.socketPath === 'string' && Array.isArray(state.brokers))
      return ownState(state as ClusterState, (await disk.status(directory))?.place)
  } catch {
    // Said below.
  }
  const message = `${path} is damaged; remove it and start the cluster with its number of brokers and settings again`
  throw new PagelogError('PAGELOG_CORRUPT', message, { path })
}

function ownState(state: ClusterState, place: string | undefined): StoredClusterState {
  if (state.place === undefined || state.place === place) return { ...state, isCopied: false }
  const brokers = state.brokers.map((broker) => ({ ...broker, process: undefined }))
  return { ...state, brokers, supervisor: undefined, isCopied: true }
}

export async function writeClusterState(disk: Disk, directory: string, state: ClusterState): Promise<void> {
  await disk.replaceFile(`${directory}/${FILE}`, new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`))
}

export function brokerDirectory(directory: string, id: number): string {
  return `${directory}/broker-${id}`
}

export function brokerLogFile(directory: string, id: number): string {
  return `${directory}/broker-${id}.log`
}

/** Who holds the log directory, by the mark in its lock; undefined when that process is gone. */
export async function holderOf(
  disk: Disk,
  logDirectory: string,
  isAlive: (mark: ProcessMark) => Promise<boolean>,
): Promise<ProcessMark | undefined> {
  const place = (await disk.status(logDirectory))?.place
  for (const name of ['.lock', '.lock.pid']) {
    const content = await disk.readFile(`${logDirectory}/${name}`)
    const match = /^(\d+) (\d+) (\S+)\n$/.exec(new TextDecoder().decode(content ?? new Uint8Array()))
    // A copy of the folder has the mark too.
    if (!match || match[3] !== place) continue
    const mark = { pid: Number(match[1]), startTicks: Number(match[2]) }
    if (await isAlive(mark)) return mark
  }
  return undefined
}
