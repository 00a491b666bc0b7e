/** Runs the limit probes (limit-probes.c, built beside the addon) and reads what they print. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { runToEnd } from '../process/children.ts'
import { packageRoot } from '../process/package-root.ts'
import type { ProbeName } from '../result.ts'

/** The best of several sizes tried on the machine this was written on; larger buffers fall out of the cache. */
const CHUNK_BYTES = 256 * 1024

export interface ThroughputProbe {
  readonly bytesPerSecond: number
  readonly seconds: number
}

export interface EchoProbe {
  readonly p50Ms: number
  readonly p99Ms: number
}

export function probesPath(): string | undefined {
  const path = join(packageRoot, 'build/Release/limit_probes')
  return existsSync(path) ? path : undefined
}

/** `warmUpBytes` are moved first and not counted; a consumer's probe has no warm-up. */
export async function probeThroughput(
  probe: Exclude<ProbeName, 'echo'>,
  bytes: number,
  warmUpBytes: number,
  directory: string,
  signal?: AbortSignal,
): Promise<ThroughputProbe> {
  const args = [probe, String(Math.round(bytes)), String(CHUNK_BYTES), directory]
  if (probe !== 'consume') args.push(String(Math.round(warmUpBytes)))
  const answer = await run(args, signal)
  const { bytes: moved, seconds } = answer as { bytes: number; seconds: number }
  return { bytesPerSecond: moved / seconds, seconds }
}

export async function probeEcho(
  count: number,
  bytes: number,
  directory: string,
  signal?: AbortSignal,
): Promise<EchoProbe> {
  const answer = await run(['echo', String(count), String(Math.round(bytes)), directory], signal)
  const { microseconds } = answer as { microseconds: { p50: number; p99: number } }
  return { p50Ms: microseconds.p50 / 1000, p99Ms: microseconds.p99 / 1000 }
}

/** `chunkBytes` at a time into a fresh file of page-cached bytes, out of 64 MiB of distinct ones: what an append is at best. */
export async function probeBufferedWrites(
  bytes: number,
  chunkBytes: number,
  directory: string,
  options: { readonly warmUpBytes?: number; readonly signal?: AbortSignal } = {},
): Promise<ThroughputProbe> {
  const { warmUpBytes = 0, signal } = options
  const answer = await run(
    ['buffered-writes', ...[bytes, chunkBytes].map(String), directory, String(warmUpBytes)],
    signal,
  )
  const { bytes: moved, seconds } = answer as { bytes: number; seconds: number }
  return { bytesPerSecond: moved / seconds, seconds }
}

async function run(args: string[], signal?: AbortSignal): Promise<unknown> {
  const command = probesPath()
  if (command === undefined) throw new Error('build/Release/limit_probes is missing: run `npm run build`')
  return JSON.parse(await runToEnd(`limit_probes ${args[0]}`, { command, args }, signal))
}

/**
 * Bytes that a record without key takes in a full batch (Kafka's record format, version 2): for the probes' size before
 * anything is stored. Afterwards the real size of the log counts.
 */
export function estimatedBytesPerRecord(valueBytes: number, batchBytes: number): number {
  const zigzagBytes = (value: number) => Math.max(1, Math.ceil(Math.log2(value * 2 + 1) / 7))
  // attributes, timestamp delta, key length, header count: a byte each; offset delta two at most in such batches.
  const body = 1 + 1 + 2 + 1 + zigzagBytes(valueBytes) + valueBytes + 1
  const record = zigzagBytes(body) + body
  const headerBytes = 61
  const perBatch = Math.max(1, Math.floor((batchBytes - headerBytes) / record))
  return record + headerBytes / perBatch
}
