/**
 * Kafka clients for Node.js that drive tests beside ours: kafkajs, @platformatic/kafka and node-rdkafka. Each is laid by npm in
 * the cache on first use; node-rdkafka compiles librdkafka then, which takes minutes, a C++ compiler and the headers of this Node.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DriverName, type NodeClient, nodeClients, type TargetName, type TestId } from '../result.ts'
import { installPackages, nodeOfMajor } from './npm-packages.ts'

/** What a driver process needs of it. */
export interface PreparedClient {
  readonly name: NodeClient
  /** Where its packages are. */
  readonly directory: string
  /** The node that runs it. */
  readonly node: string
}

/** @platformatic/kafka needs 22.22 or 24.6 and later. */
const NODE_OF_PLATFORMATIC = 24

const prepared = new Map<NodeClient, Promise<PreparedClient>>()

export function isNodeClient(name: string): name is NodeClient {
  return (nodeClients as readonly string[]).includes(name)
}

/** Installs it unless it is there. What failed once is not tried again in this process. */
export function prepareClient(name: NodeClient, signal?: AbortSignal): Promise<PreparedClient> {
  let one = prepared.get(name)
  if (one === undefined) {
    one = prepare(name, signal)
    prepared.set(name, one)
  }
  return one
}

async function prepare(name: NodeClient, signal?: AbortSignal): Promise<PreparedClient> {
  const node = name === 'platformatic' ? await nodeOfMajor(NODE_OF_PLATFORMATIC, signal) : process.execPath
  const directory = await installPackages(name, signal, { compiles: name === 'node-rdkafka' })
  return { name, directory, node }
}

export function clientVersion({ name, directory }: PreparedClient): string {
  const packageName = name === 'platformatic' ? '@platformatic/kafka' : name
  const text = readFileSync(join(directory, 'node_modules', packageName, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Why this test is not for these two; undefined when it is. */
export function whyNotDriven(driver: DriverName, target: TargetName, test: TestId): string | undefined {
  if (target === 'hosts' && test === 'throughput-vs-stored') return 'how much is stored elsewhere cannot be seen'
  if (isNodeClient(driver) && test.startsWith('end-to-end')) return 'it drives tests of producers and consumers only'
  // Our broker has no groups yet; who can be assigned partitions does without.
  const needsGroup = driver === 'kafkajs' || driver === 'platformatic' || driver === 'kafka-tools'
  if (needsGroup && target === 'pagelog' && test.includes('consumer')) return 'it reads as a member of a group only'
  return undefined
}
