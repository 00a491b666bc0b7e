/**
 * Jars of peers and the JVM that runs them. Maven lays what a pom names in a cache outside the repository on first use;
 * that of Apache Kafka is peers/kafka/pom.xml. Needs `mvn` and a JDK. Benchmarks and the peers' tests share this module.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Place } from '../netns/placement.ts'
import { UsageError } from '../options.ts'
import { Child, type ChildOptions, runToEnd } from '../process/children.ts'
import { cacheDirectory, packageRoot } from '../process/package-root.ts'

const peer = join(packageRoot, 'bench/peers/kafka')

/** As pinned in peers/kafka/pom.xml; a package that was shipped without its peers can still be measured alone. */
const pinnedVersion: string = existsSync(join(peer, 'pom.xml'))
  ? (/<kafka\.version>([^<]+)</.exec(readFileSync(join(peer, 'pom.xml'), 'utf8'))?.[1] ?? 'unknown')
  : 'unknown'

/** What processes that this one starts go by, too. */
const VERSION_VARIABLE = 'PAGELOG_KAFKA_VERSION'
const VERSION = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/

/** From now on another version than the one that is pinned. Throws UsageError. */
export function chooseKafka(version: string): void {
  if (!VERSION.test(version)) throw new UsageError(`--kafka-version ${version}: a version such as ${pinnedVersion}`)
  process.env[VERSION_VARIABLE] = version
}

export function kafkaVersion(): string {
  return process.env[VERSION_VARIABLE] ?? pinnedVersion
}

let classpath: Promise<string> | undefined

/** The class path with all of Kafka, its tools and its logging. */
export function kafkaClasspath(signal?: AbortSignal): Promise<string> {
  const version = kafkaVersion()
  classpath ??= mavenClasspath(
    join(peer, 'pom.xml'),
    version === pinnedVersion ? {} : { 'kafka.version': version },
    signal,
  )
  return classpath
}

/** The class path (`directory/*`) with everything that a pom depends on. Another text of the pom, other properties: another directory. */
export async function mavenClasspath(
  pomPath: string,
  properties: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<string> {
  const defined = Object.entries(properties).map(([name, value]) => `-D${name}=${value}`)
  const digest = createHash('sha256').update(readFileSync(pomPath)).update(defined.join()).digest('hex').slice(0, 12)
  const jars = join(cacheDirectory(), `java-${basename(dirname(pomPath))}-${digest}`)
  if (!existsSync(jars)) {
    mkdirSync(cacheDirectory(), { recursive: true })
    const fresh = mkdtempSync(`${jars}.`)
    const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
    const args = ['-q', '-B', '-f', pomPath, ...defined, goal, '-DincludeScope=runtime', `-DoutputDirectory=${fresh}`]
    try {
      await runToEnd(`mvn (fetching the jars of ${pomPath})`, { command: 'mvn', args }, signal)
      // Renamed when complete; another process may have been first.
      if (!existsSync(jars)) renameSync(fresh, jars)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  }
  return join(jars, '*')
}

export interface JavaOptions {
  readonly className: string
  readonly args: readonly string[]
  readonly jvmFlags?: readonly string[]
  readonly cwd?: string
  /** Where it lives, by default beside us. */
  readonly place?: Place
  readonly logFile?: string
  readonly onLine?: (line: string) => void
  readonly input?: string
}

/** What Kafka's start script gives every JVM. */
const PERFORMANCE_FLAGS = [
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
  '-XX:MaxInlineLevel=15',
  '-Djava.awt.headless=true',
]

/** Command and arguments of a JVM on Kafka's class path, for whoever runs it in a way of its own. */
export async function javaCommand(options: JavaOptions): Promise<ChildOptions> {
  const logging = `-Dlog4j2.configurationFile=${join(peer, 'log4j2.properties')}`
  const jvm = [...PERFORMANCE_FLAGS, ...(options.jvmFlags ?? ['-Xmx512M']), logging]
  const args = [...jvm, '-cp', await kafkaClasspath(), options.className, ...options.args]
  return {
    ...(options.place?.wrap(javaExecutable(), args) ?? { command: javaExecutable(), args }),
    guarded: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.logFile === undefined ? {} : { logFile: options.logFile }),
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    ...(options.input === undefined ? {} : { input: options.input }),
  }
}

export async function startJava(name: string, options: JavaOptions): Promise<Child> {
  return new Child(name, await javaCommand(options))
}

/** Runs one of Kafka's command line classes (`org.apache.kafka.tools.…`, `kafka.tools.…`) to its end; its standard output. */
export async function runKafkaTool(
  className: string,
  args: readonly string[],
  options: Pick<JavaOptions, 'jvmFlags' | 'input' | 'cwd'> & { readonly signal?: AbortSignal } = {},
): Promise<string> {
  const { signal, ...java } = options
  return runToEnd(className, await javaCommand({ className, args, ...java }), signal)
}

export function javaExecutable(): string {
  const home = process.env.JAVA_HOME
  return home !== undefined && existsSync(join(home, 'bin/java')) ? join(home, 'bin/java') : 'java'
}

/** `openjdk version "17.0.15"` and so on; undefined where there is no Java. */
export async function javaVersion(): Promise<string | undefined> {
  const child = new Child('java', { command: javaExecutable(), args: ['-version'] })
  const { code } = await child.exited
  return code === 0 ? child.tail.split('\n')[0] : undefined
}

/** A Java source file of ours run on Kafka's class path (needs a JDK: the JVM compiles it in memory). */
export function peerSource(name: string): string {
  return join(peer, name)
}
