/**
 * Kafka clients that drive tests beside ours: kafkajs, @platformatic/kafka, node-rdkafka, and librdkafka itself out of the latter.
 * Each is laid by npm in the cache on first use; librdkafka is compiled then, which takes minutes, a C++ compiler and, for
 * node-rdkafka, the headers of this Node.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DriverName, type OtherClient, otherClients, type TargetName, type TestId } from '../result.ts'
import { librdkafkaDriver } from './librdkafka.ts'
import { installPackages, nodeOfMajor } from './npm-packages.ts'

/** What a driver process needs of it. */
export interface PreparedClient {
  readonly name: OtherClient
  /** Where its packages are. */
  readonly directory: string
  /** The node that runs its driver; librdkafka's driver is a program itself. */
  readonly program: string
  /** Librdkafka: its path, or the name by which the system finds it. */
  readonly library?: string
}

/** @platformatic/kafka needs 22.22 or 24.6 and later. */
const NODE_OF_PLATFORMATIC = 24

const prepared = new Map<OtherClient, Promise<PreparedClient>>()

export function isOtherClient(name: string): name is OtherClient {
  return (otherClients as readonly string[]).includes(name)
}

/** Installs it unless it is there. What failed once is not tried again in this process. */
export function prepareClient(name: OtherClient, signal?: AbortSignal): Promise<PreparedClient> {
  let one = prepared.get(name)
  if (one === undefined) {
    one = prepare(name, signal)
    prepared.set(name, one)
  }
  return one
}

async function prepare(name: OtherClient, signal?: AbortSignal): Promise<PreparedClient> {
  switch (name) {
    case 'kafkajs':
      return { name, directory: await installPackages(name, signal), program: process.execPath }
    case 'platformatic': {
      const program = await nodeOfMajor(NODE_OF_PLATFORMATIC, signal)
      return { name, directory: await installPackages(name, signal), program }
    }
    case 'node-rdkafka':
      return { name, directory: await installRdkafka(signal), program: process.execPath }
    case 'librdkafka': {
      const program = await librdkafkaDriver(signal)
      const directory = await installRdkafka(signal)
      // What node-rdkafka has built for itself.
      return { name, directory, program, library: join(directory, LIBRARY) }
    }
  }
}

const LIBRARY = 'node_modules/node-rdkafka/build/deps/librdkafka.so.1'

/** One after the other: two that install at once would both compile. */
let rdkafka: Promise<string> | undefined
function installRdkafka(signal?: AbortSignal): Promise<string> {
  rdkafka ??= installPackages('node-rdkafka', signal, { compiles: true })
  return rdkafka
}

/** The field of the package's description that has the version. */
const versions: Readonly<Record<OtherClient, { packageName: string; field: 'version' | 'librdkafka' }>> = {
  kafkajs: { packageName: 'kafkajs', field: 'version' },
  platformatic: { packageName: '@platformatic/kafka', field: 'version' },
  'node-rdkafka': { packageName: 'node-rdkafka', field: 'version' },
  librdkafka: { packageName: 'node-rdkafka', field: 'librdkafka' },
}

export function clientVersion({ name, directory }: PreparedClient): string {
  const { packageName, field } = versions[name]
  const text = readFileSync(join(directory, 'node_modules', packageName, 'package.json'), 'utf8')
  return (JSON.parse(text) as Record<typeof field, string>)[field]
}

/** What is told before it is fetched. */
export function fetchingText(name: OtherClient): string {
  const compiled = name === 'node-rdkafka' || name === 'librdkafka' ? ', compiled for some minutes' : ''
  return `${name}: fetched by npm on first use${compiled}`
}

/** Why this test is not for these two; undefined when it is. */
export function whyNotDriven(driver: DriverName, target: TargetName, test: TestId): string | undefined {
  if (target === 'hosts' && test === 'throughput-vs-stored') return 'how much is stored elsewhere cannot be seen'
  if (isOtherClient(driver) && test.startsWith('end-to-end')) return 'it drives tests of producers and consumers only'
  // Our broker has no groups yet; who can be assigned partitions does without.
  const needsGroup = driver === 'kafkajs' || driver === 'platformatic' || driver === 'kafka-tools'
  if (needsGroup && target === 'pagelog' && test.includes('consumer')) return 'it reads as a member of a group only'
  return undefined
}
