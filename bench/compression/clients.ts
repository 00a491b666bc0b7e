/**
 * Runs a client to its end: ours, Apache Kafka's Java producer, librdkafka's; on the same payload file and with the same
 * settings. CPU is that of the measured phase.
 */
import { join } from 'node:path'
import { ProcessWatch } from '../measure/processes.ts'
import { javaCommand, peerSource } from '../peers/java.ts'
import { librdkafkaProducer, queueBounds } from '../peers/librdkafka.ts'
import { installPackages } from '../peers/npm-packages.ts'
import { Child, type ChildOptions } from '../process/children.ts'
import { builtFile, packageRoot } from '../process/package-root.ts'
import type { ClientResult, ClientSpec, ConsumeSpec, ProduceSpec } from './protocol.ts'

export const producerClients = ['pagelog', 'java', 'librdkafka'] as const
export type ProducerClient = (typeof producerClients)[number]

export interface ClientRun extends ClientResult {
  readonly recordsPerSecond: number
  /** CPU seconds of the process, of all its threads, for a second of the measured phase. */
  readonly cpuPerSecond: number | null
}

export interface RunOptions {
  readonly signal: AbortSignal
  /** Called when the warm-up is over. */
  readonly onMeasuring?: () => void | Promise<void>
  /** The node that runs it, by default ours. */
  readonly node?: string
  readonly nodeFlags?: readonly string[]
}

/** Beside what its phases take: a JVM's start, the flush. */
const STEP_MS_MAX = 120_000

export async function produce(client: ProducerClient, spec: ProduceSpec, options: RunOptions): Promise<ClientRun> {
  switch (client) {
    case 'pagelog':
      return runOwn(spec, options)
    case 'java':
      return run('the Java producer', await javaProducer(spec), spec, options)
    case 'librdkafka': {
      const command = await librdkafkaProducer(options.signal)
      return run('librdkafka’s producer', { command, args: programArgs(spec, librdkafkaSettings(spec)) }, spec, options)
    }
  }
}

export const consumerClients = ['pagelog', 'platformatic'] as const
export type ConsumerClient = (typeof consumerClients)[number]

/** That of @platformatic/kafka needs Node 22 or later, and a broker with consumer groups. */
export async function consume(client: ConsumerClient, spec: ConsumeSpec, options: RunOptions): Promise<ClientRun> {
  if (client === 'pagelog') return runOwn(spec, options)
  const directory = await installPackages('platformatic', options.signal)
  const args = [join(packageRoot, 'bench/peers/platformatic/consume.mjs'), directory, JSON.stringify(spec)]
  return run('@platformatic/kafka’s consumer', { command: options.node ?? process.execPath, args }, spec, options)
}

async function runOwn(spec: ClientSpec, options: RunOptions): Promise<ClientRun> {
  const args = [...(options.nodeFlags ?? []), builtFile('bench/compression/own-client.ts'), JSON.stringify(spec)]
  return run(`pagelog’s client`, { command: options.node ?? process.execPath, args }, spec, options)
}

/** The arguments of the programs of bench/peers. */
function programArgs(spec: ProduceSpec, settings: Readonly<Record<string, string | number>>): string[] {
  const properties = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  return [spec.payloadFile, String(spec.warmUpSeconds), String(spec.seconds), spec.topic, ...properties]
}

function levelSettings(spec: ProduceSpec, name: (codec: string) => string): Record<string, number> {
  return spec.level === undefined || spec.codec === 'snappy' || spec.codec === 'none'
    ? {}
    : { [name(spec.codec)]: spec.level }
}

async function javaProducer(spec: ProduceSpec): Promise<ChildOptions> {
  const settings = {
    'bootstrap.servers': spec.bootstrap,
    acks: 1,
    'enable.idempotence': 'false',
    'compression.type': spec.codec,
    ...levelSettings(spec, (codec) => `compression.${codec}.level`),
    'batch.size': spec.batchBytes,
    'linger.ms': spec.lingerMs,
    'buffer.memory': spec.bufferBytes,
    // A batch of 1 MiB and what is around it is above the default.
    'max.request.size': 8 << 20,
  }
  const args = programArgs(spec, settings)
  return javaCommand({ className: peerSource('Produce.java'), args, jvmFlags: ['-Xmx512M'] })
}

function librdkafkaSettings(spec: ProduceSpec): Record<string, string | number> {
  return {
    'bootstrap.servers': spec.bootstrap,
    acks: 1,
    'compression.codec': spec.codec,
    ...levelSettings(spec, () => 'compression.level'),
    'batch.size': spec.batchBytes,
    'linger.ms': spec.lingerMs,
    'queue.buffering.max.kbytes': spec.bufferBytes >> 10,
    ...queueBounds,
    'message.max.bytes': 8 << 20,
  }
}

/** Runs it and reads its words. Rejects with what it said last when it fails, hangs, or is interrupted. */
export async function run(
  name: string,
  command: ChildOptions,
  phases: Pick<ClientSpec, 'warmUpSeconds' | 'seconds'>,
  { signal, onMeasuring }: RunOptions,
): Promise<ClientRun> {
  signal.throwIfAborted()
  let result: ClientResult | undefined
  let watch: ProcessWatch | undefined
  let cpuPerSecond: number | null = null
  let startedMs = 0
  const child = new Child(name, {
    ...command,
    onLine: (line) => {
      if (line === 'measuring') {
        startedMs = performance.now()
        watch = new ProcessWatch(child.pid)
        watch.start()
        void onMeasuring?.()
      } else if (line.startsWith('{')) result = JSON.parse(line) as ClientResult
    },
  })
  // A process that has ended tells no CPU: it is read just before.
  const reading = setInterval(() => {
    const cpuSeconds = watch?.stop().cpuSeconds
    if (cpuSeconds != null) cpuPerSecond = cpuSeconds / ((performance.now() - startedMs) / 1000)
  }, 250)
  const limit = setTimeout(() => void child.end(), STEP_MS_MAX + (phases.warmUpSeconds + phases.seconds) * 3000)
  const stop = () => void child.end(2_000)
  signal.addEventListener('abort', stop, { once: true })
  try {
    const { code } = await child.exited
    signal.throwIfAborted()
    if (code !== 0 || result === undefined) throw await child.failure().catch((error: unknown) => error)
    return { ...result, recordsPerSecond: result.records / result.seconds, cpuPerSecond }
  } finally {
    clearInterval(reading)
    clearTimeout(limit)
    signal.removeEventListener('abort', stop)
  }
}
