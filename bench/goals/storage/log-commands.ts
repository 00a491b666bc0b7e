/** Filling, reading and opening logs in a station. */
import { readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { type Log, type LogDirectory, openLogDirectory } from '../../../src/log/index.ts'
import { LatencyRecorder } from '../../measure/latency.ts'
import { makePartitions } from '../../micro/cases/open.ts'
import { readAll, readOne } from '../../micro/cases/read.ts'
import { fillLog, forgetRecoveryPoint, LOG_NAME } from '../../micro/logs.ts'

/** A prime: offsets in no order that a hint or a cache knows. */
const STRIDE = 1_000_003

let logs: LogDirectory | undefined
let log: Log | undefined

export interface FillInput {
  readonly directory: string
  readonly logBytes: number
  readonly recordsPerBatch: number
  readonly settings: Record<string, number>
  /** How it is left: open for reads, closed, or as after a crash. */
  readonly leave: 'open' | 'closed' | 'crashed'
}

export async function fill(input: FillInput): Promise<{ bytes: number; records: number }> {
  const { directory, logBytes, recordsPerBatch, settings, leave } = input
  await mkdir(directory, { recursive: true })
  const filled = await fillLog(directory, {
    logBytes,
    poolBytes: Math.min(logBytes, 64 << 20),
    recordsPerBatch,
    settings,
  })
  logs = filled.logs
  log = filled.log
  const result = { bytes: log.size, records: log.logEndOffset }
  if (leave !== 'open') await logs.close({ clean: leave === 'closed' })
  if (leave === 'crashed') await forgetRecoveryPoint(directory)
  return result
}

export interface ReadInput {
  readonly checkCrcs: boolean
}

export interface ReadOutput {
  readonly records: number
  readonly seconds: number
  /** Of the whole process. */
  readonly cpuSeconds: number
}

export async function sequentialRead({ checkCrcs }: ReadInput): Promise<ReadOutput> {
  const startedMs = performance.now()
  const cpuBefore = process.cpuUsage()
  const records = await readAll(log!, checkCrcs)
  const { user, system } = process.cpuUsage(cpuBefore)
  return { records, seconds: (performance.now() - startedMs) / 1000, cpuSeconds: (user + system) / 1e6 }
}

/** Milliseconds, of one read after the other. */
export async function randomReads({ count }: { count: number }): Promise<{ p50: number; p99: number; max: number }> {
  const latencies = new LatencyRecorder()
  let offset = 0
  for (let i = 0; i < count; i++) {
    offset = (offset + STRIDE) % log!.logEndOffset
    const startedMs = performance.now()
    await readOne(log!, offset)
    latencies.record(performance.now() - startedMs)
  }
  const { p50, p99, max } = latencies.summary()!
  return { p50, p99, max }
}

export async function forget({ directory }: { directory: string }): Promise<void> {
  await forgetRecoveryPoint(directory)
}

export async function makeDirectory(input: { directory: string; partitions: number }): Promise<void> {
  await mkdir(input.directory, { recursive: true })
  await makePartitions(input.directory, input.partitions)
}

/** Bytes, of the whole process. */
export interface OpenOutput {
  readonly milliseconds: number
  readonly partitions: number
  /** Before the directory was opened, and after it, garbage collected both times. */
  readonly residentBefore: number
  readonly resident: number
  readonly residentPeak: number
  readonly heapUsed: number
  /** As the directory states it: memory of the indexes that are loaded. */
  readonly indexBytes: number
  readonly descriptors: number
}

let residentBefore = 0

/** Opens it and keeps it open. */
export async function openDirectory(input: {
  directory: string
  settings: Record<string, number>
}): Promise<OpenOutput> {
  collectGarbage()
  residentBefore = process.memoryUsage.rss()
  const startedMs = performance.now()
  logs = await openLogDirectory(input.directory, { settings: input.settings })
  const milliseconds = performance.now() - startedMs
  log = logs.get(LOG_NAME, 0)
  return memoryNow(milliseconds)
}

export async function closeDirectory({ clean }: { clean: boolean }): Promise<void> {
  await logs!.close({ clean })
}

/** The whole log once, then single records of it: what loads every segment and every index. */
export async function readWhole({ reads }: { reads: number }): Promise<OpenOutput> {
  const startedMs = performance.now()
  const records = await readAll(log!, true)
  if (records !== log!.logEndOffset - log!.logStartOffset) throw new Error(`read ${records} records only`)
  await randomReads({ count: reads })
  return memoryNow(performance.now() - startedMs)
}

function memoryNow(milliseconds: number): OpenOutput {
  const peak = process.resourceUsage().maxRSS * 1024
  collectGarbage()
  return {
    milliseconds,
    partitions: logs!.partitions().length,
    residentBefore,
    resident: process.memoryUsage.rss(),
    residentPeak: peak,
    heapUsed: process.memoryUsage().heapUsed,
    indexBytes: logs!.stats().indexBytes,
    descriptors: readdirSync('/proc/self/fd').length,
  }
}

/** Stations run with --expose-gc: what is measured is what is held, not what waits to be collected. */
function collectGarbage(): void {
  const { gc } = globalThis as { gc?: () => void }
  gc?.()
  gc?.()
}
