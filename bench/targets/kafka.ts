/**
 * Apache Kafka as a single KRaft node on loopback: storage formatted, then started with the heap and the JVM flags of
 * its own start script. Defaults of its shipped server.properties except where `settings` says otherwise.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runKafkaTool, startJava } from '../peers/java.ts'
import { freePorts, waitForPort } from './ports.ts'
import type { Target, TargetOptions } from './target.ts'

const START_MS_MAX = 60_000

export interface KafkaOptions extends TargetOptions {
  readonly signal?: AbortSignal
}

/** What is not Kafka's default, and why. */
function settingsOf(options: KafkaOptions): Record<string, string> {
  return {
    'num.partitions': String(options.partitions),
    // One broker: internal topics cannot have three replicas.
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    // As in the shipped server.properties: a first consumer does not wait 3 s for others.
    'group.initial.rebalance.delay.ms': '0',
    // Deleted topics leave the disk at once, so that one run's data are gone before the next.
    'log.segment.delete.delay.ms': '0',
    ...options.overrides,
  }
}

/** Everything but starting: the format step is not part of the start that is measured. */
export async function prepareKafka(options: KafkaOptions): Promise<{ port: number; properties: string }> {
  const [port, controllerPort] = (await freePorts(2)) as [number, number]
  const dataDirectory = join(options.directory, 'data')
  mkdirSync(dataDirectory, { recursive: true })
  const lines: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': dataDirectory,
    ...settingsOf(options),
  }
  const properties = join(options.directory, 'server.properties')
  writeFileSync(
    properties,
    Object.entries(lines)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const clusterId = 'cGFnZWxvZy1iZW5jaG1hcg'
  await runKafkaTool('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', properties], {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  return { port, properties }
}

export async function startKafka(options: KafkaOptions): Promise<Target> {
  const { port, properties } = await prepareKafka(options)
  const target = await launchKafka(options, port, properties)
  try {
    await Promise.race([waitForPort(port, START_MS_MAX, options.signal), target.failure])
  } catch (error) {
    await target.close()
    throw error
  }
  return target
}

/** Starts the JVM on a prepared directory and returns at once: the caller finds out when it serves. */
export async function launchKafka(options: KafkaOptions, port: number, properties: string): Promise<Target> {
  const child = await startJava('Apache Kafka', {
    className: 'kafka.Kafka',
    args: [properties],
    jvmFlags: ['-Xmx1G', '-Xms1G', ...(options.runtimeFlags ?? [])],
    cwd: options.directory,
    logFile: join(options.directory, 'kafka.log'),
  })
  options.onStart?.(child.pid)
  const failure = child.failure()
  failure.catch(() => {})
  return {
    name: 'kafka',
    bootstrap: `127.0.0.1:${port}`,
    pid: child.pid,
    dataDirectory: join(options.directory, 'data'),
    settings: settingsOf(options),
    resetMetrics: async () => {},
    loopDelay: async () => undefined,
    failure,
    close: async () => {
      await child.end(30_000)
    },
  }
}
