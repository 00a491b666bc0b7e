/**
 * What a process read and wrote, and what its network carried, as Linux tells it: /proc/<pid>/io counts what the device was
 * asked for, not what the page cache had; /proc/<pid>/net/dev counts for a whole network namespace. Elsewhere nothing is known.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import type { ProcessResult, RunIo } from '../result.ts'

export interface IoReading {
  readonly readBytes: number
  readonly writtenBytes: number
  /** Of a namespace of its own; null where it shares ours. */
  readonly receivedBytes: number | null
  readonly sentBytes: number | null
}

/** undefined once the process is gone, or where it cannot be told. */
export function readIo(pid: number): IoReading | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/io`, 'latin1')
    const of = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN)
    const readBytes = of('read_bytes')
    // What was dirtied and cut off again before it was written never reached the device.
    const writtenBytes = Math.max(0, of('write_bytes') - of('cancelled_write_bytes'))
    if (Number.isNaN(readBytes) || Number.isNaN(writtenBytes)) return undefined
    const links = isElsewhere(pid) ? linkBytes(readFileSync(`/proc/${pid}/net/dev`, 'latin1')) : undefined
    return { readBytes, writtenBytes, receivedBytes: links?.received ?? null, sentBytes: links?.sent ?? null }
  } catch {
    return undefined
  }
}

function isElsewhere(pid: number): boolean {
  return readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net')
}

export interface LinkBytes {
  readonly received: number
  readonly sent: number
}

/** Sums of a /proc/net/dev: of all links but the loopback. */
export function linkBytes(text: string): LinkBytes {
  let received = 0
  let sent = 0
  for (const [name, fields] of devices(text)) {
    if (name === 'lo') continue
    received += fields[0] ?? 0
    sent += fields[8] ?? 0
  }
  return { received, sent }
}

/** All that has gone over our own loopback; undefined where nobody tells. */
export function loopbackBytes(): number | undefined {
  try {
    return new Map(devices(readFileSync('/proc/net/dev', 'latin1'))).get('lo')?.[0]
  } catch {
    return undefined
  }
}

function devices(text: string): [string, number[]][] {
  return text.split('\n').flatMap((line): [string, number[]][] => {
    const [, name, rest] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? []
    return name === undefined ? [] : [[name, rest!.trim().split(/\s+/).map(Number)]]
  })
}

/**
 * Of a run: `processes` are the brokers, `loopback` what went over it meanwhile, `servedBytes` what readers were sent of the log. Null
 * where a broker could not be read, or none is here.
 */
export function runIo(
  processes: readonly ProcessResult[],
  loopback: number | undefined,
  servedBytes: number | null,
): RunIo | null {
  if (processes.length === 0) return null
  let [readBytes, writtenBytes, links, hasLinks] = [0, 0, 0, true]
  for (const one of processes) {
    if (one.readBytes == null || one.writtenBytes == null) return null
    readBytes += one.readBytes
    writtenBytes += one.writtenBytes
    if (one.receivedBytes == null || one.sentBytes == null) hasLinks = false
    else links += one.receivedBytes + one.sentBytes
  }
  return {
    readBytes,
    writtenBytes,
    networkBytes: hasLinks ? links : (loopback ?? null),
    network: hasLinks ? 'links' : 'loopback',
    servedBytes: servedBytes === null ? null : Math.round(servedBytes),
    pageCacheShare: servedBytes === null || servedBytes <= 0 ? null : pageCacheShare(readBytes, servedBytes),
  }
}

/** Of what was served the part that no device was read for. Other reads of the broker count against it. */
export function pageCacheShare(readBytes: number, servedBytes: number): number {
  return Math.floor(Math.max(0, 1 - readBytes / servedBytes) * 1e6) / 1e6
}
