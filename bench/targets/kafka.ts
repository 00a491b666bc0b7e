/**
 * Apache Kafka on loopback or in namespaces: KRaft nodes that are broker and controller both (a quorum of all of them), storage formatted,
 * then started with the heap and the JVM flags of its own start script. Defaults of its shipped server.properties except
 * where `settings` says otherwise.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { placementHere } from '../netns/namespaces.ts'
import type { Place } from '../netns/placement.ts'
import { runKafkaTool, startJava } from '../peers/java.ts'
import type { Child } from '../process/children.ts'
import { freePorts, waitForBrokers, waitForPort } from './ports.ts'
import type { Target, TargetOptions } from './target.ts'

/** Three JVMs that start together on a machine that is busy with other things have taken more than one minute. */
const START_MS_MAX = 180_000

export interface KafkaOptions extends TargetOptions {
  readonly signal?: AbortSignal
}

/** Internal topics cannot have three replicas. */
const OF_ONE_BROKER = {
  'offsets.topic.replication.factor': '1',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
}
/** As `pagelog cluster start` has it: what is acknowledged to acks=all is on two brokers at least. */
const OF_A_CLUSTER = { 'min.insync.replicas': '2' }

/** What is not Kafka's default, and why. */
function settingsOf(options: KafkaOptions): Record<string, string> {
  return {
    'num.partitions': String(options.partitions),
    ...((options.brokers ?? 1) > 1 ? OF_A_CLUSTER : OF_ONE_BROKER),
    // As in the shipped server.properties: a first consumer does not wait 3 s for others.
    'group.initial.rebalance.delay.ms': '0',
    // Deleted topics leave the disk at once, so that one run's data are gone before the next.
    'log.segment.delete.delay.ms': '0',
    ...options.overrides,
  }
}

interface PreparedNode {
  readonly place: Place
  readonly port: number
  readonly directory: string
  readonly properties: string
}

/** Everything but starting: the format step is not part of the start that is measured. */
export async function prepareKafka(options: KafkaOptions): Promise<PreparedNode> {
  const [node] = await prepareNodes({ ...options, brokers: 1 })
  return node!
}

async function prepareNodes(options: KafkaOptions): Promise<PreparedNode[]> {
  const count = options.brokers ?? 1
  const ports = await freePorts(2 * count)
  const places = Array.from({ length: count }, (_, i) => placementHere().broker(i))
  const voters = places.map(({ host }, i) => `${i + 1}@${host}:${ports[count + i]}`).join(',')
  const clusterId = 'cGFnZWxvZy1iZW5jaG1hcg'
  return Promise.all(
    places.map(async (place, i) => {
      const { host } = place
      const port = ports[i]!
      const directory = count === 1 ? options.directory : join(options.directory, `broker-${i + 1}`)
      mkdirSync(join(directory, 'data'), { recursive: true })
      const properties = join(directory, 'server.properties')
      const lines: Record<string, string> = {
        'process.roles': 'broker,controller',
        'node.id': String(i + 1),
        'controller.quorum.voters': voters,
        listeners: `PLAINTEXT://${host}:${port},CONTROLLER://${host}:${ports[count + i]}`,
        'advertised.listeners': `PLAINTEXT://${host}:${port}`,
        'controller.listener.names': 'CONTROLLER',
        'log.dirs': join(directory, 'data'),
        ...settingsOf(options),
      }
      const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`)
      writeFileSync(properties, text.join(''))
      await runKafkaTool('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', properties], {
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
      return { place, port, directory, properties }
    }),
  )
}

export async function startKafka(options: KafkaOptions): Promise<Target> {
  const nodes = await prepareNodes(options)
  const target = await launchNodes(options, nodes)
  const ready = async () => {
    await Promise.all(nodes.map(({ port, place }) => waitForPort(port, START_MS_MAX, options.signal, place.host)))
    if (nodes.length > 1) await waitForBrokers(target.bootstrap, nodes.length, START_MS_MAX, options.signal)
  }
  try {
    await Promise.race([ready(), target.failure])
  } catch (error) {
    await target.close()
    throw error
  }
  return target
}

/** Starts the JVM on a prepared directory and returns at once: the caller finds out when it serves. */
export async function launchKafka(options: KafkaOptions, port: number, properties: string): Promise<Target> {
  return launchNodes(options, [{ place: placementHere().broker(0), port, properties, directory: options.directory }])
}

async function launchNodes(options: KafkaOptions, nodes: readonly PreparedNode[]): Promise<Target> {
  const children: Child[] = []
  for (const { directory, properties, place } of nodes) {
    const child = await startJava('Apache Kafka', {
      className: 'kafka.Kafka',
      args: [properties],
      jvmFlags: ['-Xmx1G', '-Xms1G', ...(options.runtimeFlags ?? [])],
      cwd: directory,
      place,
      logFile: join(directory, 'kafka.log'),
    })
    children.push(child)
    options.onStart?.(child.pid)
  }
  const failure = Promise.race(children.map((child) => child.failure()))
  failure.catch(() => {})
  const brokers = nodes.map(({ directory }, i) => ({ pid: children[i]!.pid, dataDirectory: join(directory, 'data') }))
  return {
    name: 'kafka',
    bootstrap: nodes.map(({ port, place }) => `${place.host}:${port}`).join(','),
    ...brokers[0]!,
    brokers,
    settings: settingsOf(options),
    resetMetrics: async () => {},
    loopDelays: async () => brokers.map(() => undefined),
    failure,
    close: () => endNodes(children),
  }
}

/** A node of a quorum may wait for the others before it ends: what has not ended in time is killed. */
async function endNodes(children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.end(children.length === 1 ? 30_000 : 15_000)))
}
