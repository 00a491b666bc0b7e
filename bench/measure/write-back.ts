/**
 * Quiet before a run: what an earlier run left dirty in the page cache is written by the kernel on the next one's bill.
 * So: sync, then wait until little is dirty, at most a minute.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const DIRTY_BYTES_MAX = 64 * 1024 * 1024
const WAIT_MS_MAX = 60_000

/** Bytes in Dirty and Writeback of /proc/meminfo; 0 where there is none. */
export function dirtyBytesIn(meminfo: string): number {
  let bytes = 0
  for (const found of meminfo.matchAll(/^(?:Dirty|Writeback):\s+(\d+) kB/gm)) bytes += Number(found[1]) * 1024
  return bytes
}

/** Resolves with how long it took; true when the cache is quiet, false when the minute was over first. */
export async function settleWriteBack(signal: AbortSignal): Promise<{ quiet: boolean; milliseconds: number }> {
  const startedMs = performance.now()
  // sync may wait for the device longer than we are ready to: it goes on by itself, the poll decides.
  execFile('sync', () => {})
  for (;;) {
    const milliseconds = performance.now() - startedMs
    const meminfo = await readFile('/proc/meminfo', 'latin1').catch(() => '')
    if (dirtyBytesIn(meminfo) < DIRTY_BYTES_MAX) return { quiet: true, milliseconds }
    if (milliseconds > WAIT_MS_MAX) return { quiet: false, milliseconds }
    await sleep(100, undefined, { signal })
  }
}
