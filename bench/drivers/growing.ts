/** A producer's run until so much is stored: how long it is, whether there is room, and the rates by what was stored. */
import { statfsSync } from 'node:fs'
import { estimatedBytesPerRecord } from '../limits/limits.ts'
import { formatGiB } from '../measure/progress.ts'
import { storedResult } from '../measure/stored.ts'
import type { RunResult } from '../result.ts'
import type { Session } from './session.ts'

/** On the disks of all brokers together, where nothing is said. */
export const STORED_BYTES = 4 * 1024 ** 3
/** What a run is given time for; one that is slower ends before all is stored, and its result says how much was. */
const SLOWEST_BYTES_PER_SECOND = 20e6
/** The warm-up stores something, too, and a disk that is all but full is slower. */
const ROOM = 1.25

/** `produce`: a run of one producer, with any client. */
export async function throughputVsStored(
  session: Session,
  produce: (session: Session) => Promise<RunResult>,
): Promise<RunResult> {
  const { settings, replicationFactor, target } = session
  const wanted = settings.storedBytes ?? STORED_BYTES
  if (target.dataDirectory === null) throw new Error('how much is stored cannot be seen on brokers elsewhere')
  checkRoom(target.dataDirectory, wanted)
  const bytesPerRecord = estimatedBytesPerRecord(settings.valueBytes, settings.batchBytes)
  const records = Math.ceil(wanted / replicationFactor / bytesPerRecord)
  const seconds = settings.seconds + wanted / SLOWEST_BYTES_PER_SECOND
  const run = await produce({ ...session, settings: { ...settings, records, seconds } })
  const each = run.storedBytesPerRecord ?? bytesPerRecord
  const memory = settings.brokerMemoryBytes ?? null
  return { ...run, stored: storedResult(run.series, each, replicationFactor, memory) ?? null }
}

/** Better now than after an hour. */
export function checkRoom(directory: string, wanted: number): void {
  const disk = statfsSync(directory)
  const free = disk.bavail * disk.bsize
  if (free >= wanted * ROOM) return
  throw new Error(
    `to store ${formatGiB(wanted)} takes ${formatGiB(wanted * ROOM)} of disk, ${formatGiB(free)} are free`,
  )
}
