/** A look at a cluster from outside: which of its processes run, and what its metadata says of brokers and partitions. */
import { type Logger, PagelogError } from '../base/index.ts'
import type { Env } from '../env/index.ts'
import { ClusterImage, connectMetadata } from '../metadata/index.ts'
import type { Processes } from './broker-child.ts'
import { type BrokerRecord, brokerDirectory, type ClusterState, holderOf, readClusterState } from './cluster-state.ts'

export interface BrokerStatus {
  readonly id: number
  readonly host: string
  readonly port: number
  /** Of its process when that runs. */
  readonly pid: number | undefined
  /** Whether the cluster counts on it. */
  readonly registered: boolean
  readonly leading: number
  readonly inSync: number
}

export interface ClusterStatus {
  readonly supervisor: number | undefined
  /** Whether the metadata could be read; without it nothing is known but which processes run. */
  readonly isKnown: boolean
  readonly controller: number | undefined
  readonly brokers: readonly BrokerStatus[]
  readonly topics: number
  readonly partitions: number
  readonly withoutLeader: number
  readonly underReplicated: number
}

export interface StatusOptions {
  readonly env: Pick<Env, 'disk' | 'clock'>
  readonly processes: Pick<Processes, 'isAlive'>
  readonly logger: Logger
  readonly directory: string
}

/** Error: PAGELOG_NOT_FOUND when there is no cluster in that folder. */
export async function clusterStatus(options: StatusOptions): Promise<ClusterStatus> {
  const { env, processes, directory } = options
  const state = await readClusterState(env.disk, directory)
  if (!state) throw new PagelogError('PAGELOG_NOT_FOUND', `there is no cluster in ${directory}`, { path: directory })
  const { supervisor } = state
  const supervised = supervisor !== undefined && (await processes.isAlive(supervisor))
  const image = supervised ? await imageOf(options, state) : undefined
  const all = image?.topics().flatMap(({ partitions }) => partitions) ?? []
  const leads = (id: number): number => all.filter(({ leader }) => leader === id).length
  const brokers = state.brokers.map(async (record): Promise<BrokerStatus> => {
    const { id, port, host = state.host } = record
    const pid = state.isCopied ? undefined : await livingPid(options, record)
    const registered = image?.brokers.has(id) ?? false
    const inSync = all.filter(({ isr }) => isr.includes(id)).length
    return { id, host, port, pid, registered, leading: leads(id), inSync }
  })
  return {
    supervisor: supervised ? supervisor.pid : undefined,
    isKnown: image !== undefined,
    controller: image?.controller?.id,
    brokers: await Promise.all(brokers),
    topics: image?.topicCount ?? 0,
    partitions: all.length,
    withoutLeader: all.filter(({ leader }) => !image?.brokers.has(leader)).length,
    underReplicated: all.filter(({ isr, replicas }) => isr.length < replicas.length).length,
  }
}

async function livingPid(
  { env, processes, directory }: StatusOptions,
  { id, process }: BrokerRecord,
): Promise<number | undefined> {
  if (process && (await processes.isAlive(process))) return process.pid
  return (await holderOf(env.disk, brokerDirectory(directory, id), (mark) => processes.isAlive(mark)))?.pid
}

/** One reading; undefined when the supervisor does not answer. */
async function imageOf(
  { env, logger }: StatusOptions,
  { socketPath }: ClusterState,
): Promise<ClusterImage | undefined> {
  try {
    const store = await connectMetadata({ clock: env.clock, logger, endpoints: [{ socketPath }], root: '' })
    try {
      const image = await ClusterImage.open(store, { clock: env.clock, logger })
      image.close()
      return image
    } finally {
      await store.close()
    }
  } catch (error) {
    logger.warn({ error }, 'the metadata cannot be read')
    return undefined
  }
}
