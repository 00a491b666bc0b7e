/** A whole compression benchmark: settings in, one result out, nothing left behind. What fails is told, the rest goes on. */
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commitOf, describeMachine } from '../measure/machine.ts'
import { formatRate, Progress } from '../measure/progress.ts'
import { javaVersion } from '../peers/java.ts'
import { nodeOfMajor } from '../peers/npm-packages.ts'
import { endAllChildren, runToEnd } from '../process/children.ts'
import { builtFile, packageRoot } from '../process/package-root.ts'
import { makeScratch, type Scratch } from '../process/scratch.ts'
import { CompressionBroker } from './broker.ts'
import { type ProducerClient, produce } from './clients.ts'
import type { Speed, SpeedSpec } from './codec-speed.ts'
import { PAYLOAD_SEED, type PayloadKind } from './payloads.ts'
import {
  COMPRESSION_SCHEMA_VERSION,
  type CodecId,
  type CompressionResult,
  type CompressionSettings,
  type SpeedResult,
  type ThroughputResult,
} from './result.ts'
import { codecTitle } from './table.ts'

export interface CompressionOptions {
  readonly settings: CompressionSettings
  readonly command: string
  readonly dataDirectory?: string
  readonly signal?: AbortSignal
  readonly progress?: Progress
}

/** Measured unless others are asked for: fastest, default, smallest. */
const LEVELS: Readonly<Record<CodecId, readonly (number | null)[]>> = {
  none: [null],
  gzip: [1, -1, 9],
  snappy: [null],
  lz4: [null],
  zstd: [1, 3, 9],
}
const BOUNDS: Partial<Record<CodecId, readonly [number, number]>> = { gzip: [-1, 9], zstd: [-131_072, 22] }
const NODE_WITH_ZSTD = 24
const LINGER_MS = 5
const BUFFER_BYTES = 64 << 20
/** A JVM compiles what it runs: its warm-up is this many times ours. */
const JAVA_WARM_UP = 3

/** The levels of a codec that are measured. */
export function levelsOf(codec: CodecId, asked: readonly number[]): readonly (number | null)[] {
  const bounds = BOUNDS[codec]
  if (asked.length === 0 || bounds === undefined) return LEVELS[codec]
  const allowed = asked.filter(
    (level) => level >= bounds[0] && level <= bounds[1] && !(codec === 'gzip' && level === 0),
  )
  return allowed.length === 0 ? LEVELS[codec] : allowed
}

export function stepsOf(settings: CompressionSettings): number {
  return settings.codecs.length * settings.payloads.length + throughputCases(settings).length
}

interface Case {
  readonly client: ProducerClient
  readonly codec: CodecId
  /** Null: the client's default. */
  readonly level: number | null
  readonly batchBytes: number
  readonly payload: PayloadKind
  readonly workers: number | null
}

/** Side by side what is to be compared: the clients take turns for each codec, batch size and payload. */
export function throughputCases(settings: CompressionSettings): Case[] {
  const cases: Case[] = []
  for (const payload of settings.throughputPayloads) {
    for (const batchBytes of settings.throughputBatches) {
      for (const codec of settings.codecs) {
        const levels = settings.levels.length === 0 ? [null] : levelsOf(codec, settings.levels)
        for (const level of levels) {
          for (const client of settings.clients) {
            const ways = client === 'pagelog' ? (codec === 'none' ? [0] : settings.workers) : [null]
            for (const workers of ways) cases.push({ client, codec, level, batchBytes, payload, workers })
          }
        }
      }
    }
  }
  return cases
}

export async function runCompression(options: CompressionOptions): Promise<CompressionResult> {
  const { settings } = options
  const signal = options.signal ?? new AbortController().signal
  const progress = options.progress ?? new Progress(stepsOf(settings))
  const startedAt = new Date().toISOString()
  const scratch = makeScratch(options.dataDirectory ?? tmpdir())
  const java = settings.clients.includes('java') ? ((await javaVersion()) ?? null) : null
  const machine = describeMachine(scratch.path, java)
  const run = new Run(settings, { scratch, signal, progress })
  try {
    await run.all()
  } finally {
    await endAllChildren()
    scratch.remove()
  }
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  return {
    kind: 'compression',
    schemaVersion: COMPRESSION_SCHEMA_VERSION,
    version,
    startedAt,
    finishedAt: new Date().toISOString(),
    complete: !signal.aborted && run.failures.length === 0,
    orientation: true,
    command: options.command,
    commit: commitOf(packageRoot) ?? null,
    machine,
    settings,
    speeds: run.speeds,
    throughput: run.throughput,
    failures: run.failures,
  }
}

interface RunContext {
  readonly scratch: Scratch
  readonly signal: AbortSignal
  readonly progress: Progress
}

class Run {
  readonly speeds: SpeedResult[] = []
  readonly throughput: ThroughputResult[] = []
  readonly failures: { readonly what: string; readonly error: string }[] = []
  readonly #settings: CompressionSettings
  readonly #context: RunContext

  constructor(settings: CompressionSettings, context: RunContext) {
    this.#settings = settings
    this.#context = context
  }

  async all(): Promise<void> {
    const { signal } = this.#context
    const { partitions, payloadBytes, codecs, payloads } = this.#settings
    const broker = await CompressionBroker.start(this.#context, 'pagelog', { partitions, payloadBytes })
    try {
      for (const payload of payloads) {
        for (const codec of codecs) {
          await this.#try(`${codec}, ${payload}, one core`, () => this.#speedsOf(broker, codec, payload))
        }
      }
      for (const one of throughputCases(this.#settings)) {
        const workers = one.workers === null || one.codec === 'none' ? '' : `, ${one.workers} workers`
        const what = `${codecTitle(one)}, ${one.payload}, ${one.batchBytes >> 10} KiB, ${one.client}${workers}`
        await this.#try(what, () => this.#throughputOf(broker, one))
      }
      signal.throwIfAborted()
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      await broker.close()
    }
  }

  /** An abort ends quietly: what is there by then is the result. */
  async #try(what: string, work: () => Promise<string>): Promise<void> {
    const { signal, progress } = this.#context
    if (signal.aborted) return
    progress.begin(what)
    try {
      progress.end(await work())
    } catch (error) {
      if (signal.aborted) return
      const text = error instanceof Error ? error.message : String(error)
      this.failures.push({ what, error: text })
      progress.end(`failed: ${text.split('\n')[0]}`)
    }
  }

  async #speedsOf(broker: CompressionBroker, codec: CodecId, payload: PayloadKind): Promise<string> {
    const { levels, batches, speedSeconds } = this.#settings
    const spec: SpeedSpec = {
      codec,
      levels: levelsOf(codec, levels),
      batches,
      payloadFile: broker.payloadFile(payload),
      seconds: speedSeconds,
    }
    const args = [builtFile('bench/compression/codec-speed.ts'), JSON.stringify(spec)]
    const text = await runToEnd('the codec', { command: await this.#nodeFor(codec), args }, this.#context.signal)
    const speeds = text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Speed)
    for (const speed of speeds) this.speeds.push({ ...speed, payload })
    const best = speeds.at(-1)
    return best === undefined ? 'nothing' : `${best.ratio.toFixed(2)} : 1, ${best.compress.toFixed(0)} MB/s`
  }

  async #throughputOf(broker: CompressionBroker, one: Case): Promise<string> {
    const { seconds, warmUpSeconds } = this.#settings
    const { client, codec, level, batchBytes, payload, workers } = one
    const signal = this.#context.signal
    const node = client === 'pagelog' ? await this.#nodeFor(codec) : process.execPath
    const run = await broker.withTopic((topic) =>
      produce(
        client,
        {
          kind: 'produce',
          bootstrap: broker.bootstrap,
          topic,
          payloadFile: broker.payloadFile(payload),
          codec,
          batchBytes,
          lingerMs: LINGER_MS,
          bufferBytes: BUFFER_BYTES,
          warmUpSeconds: client === 'java' ? warmUpSeconds * JAVA_WARM_UP : warmUpSeconds,
          seconds,
          rate: 0,
          ...(workers === null ? {} : { workers }),
          ...(level === null ? {} : { level }),
        },
        { signal, node },
      ),
    )
    if (run.errors > 0) throw new Error(`${run.errors} records were not acknowledged`)
    this.throughput.push({
      client,
      clientVersion: run.client,
      codec,
      level,
      batchBytes,
      payload,
      workers,
      recordsPerSecond: run.recordsPerSecond,
      megabytesPerSecond: run.bytes / run.seconds / 1e6,
      latencyP99Ms: run.latencyMs?.p99 ?? null,
      eventLoopDelayMs: run.loopDelay ?? null,
      coresUsed: run.cpuPerSecond,
    })
    return `${formatRate(run.recordsPerSecond)} rec/s`
  }

  /** zstd came to Node with 22.15; without it another one is fetched for its lines. */
  async #nodeFor(codec: CodecId): Promise<string> {
    const { zstdCompressSync } = (await import('node:zlib')) as { zstdCompressSync?: unknown }
    const isHere = codec !== 'zstd' || zstdCompressSync !== undefined
    return isHere ? process.execPath : await nodeOfMajor(NODE_WITH_ZSTD, this.#context.signal)
  }
}

export const defaultSettings: CompressionSettings = {
  codecs: ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
  levels: [],
  batches: [16_384, 65_536, 1 << 20],
  payloads: ['text', 'json', 'random'],
  workers: [0, 1, 2],
  clients: ['pagelog', 'java', 'librdkafka'],
  throughputPayloads: ['json'],
  throughputBatches: [65_536, 1 << 20],
  speedSeconds: 0.15,
  seconds: 2,
  warmUpSeconds: 1,
  partitions: 6,
  payloadBytes: 32 << 20,
  payloadSeed: PAYLOAD_SEED,
}
