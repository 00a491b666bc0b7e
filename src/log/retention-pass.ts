/** Retention over all logs of a directory, a few at a time, so that the event loop stays free and the device is shared. */
import { hasCode } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import type { Log } from './log.ts'

/** At the same time: what they write into the directory's checkpoint is written once for all that wait for it. */
const LOGS_AT_ONCE = 8
/** Looked at by each of those in one turn of the event loop; most have nothing to give up and wait for nothing. */
const LOGS_A_TURN = 8

/** Rejects with the first failure, after all were tried. */
export async function retainAll(logs: readonly Log[], clock: Clock): Promise<void> {
  let firstError: unknown
  const waiting = logs.values()
  const retainSome = async (): Promise<void> => {
    let count = 0
    for (const log of waiting) {
      await log.applyRetention().catch((error: unknown) => {
        if (!hasCode(error, 'PAGELOG_CLOSED')) firstError ??= error // one that was removed meanwhile
      })
      if (++count % LOGS_A_TURN === 0) await new Promise<void>((resolve) => clock.soon(resolve))
    }
  }
  await Promise.all(Array.from({ length: LOGS_AT_ONCE }, retainSome))
  if (firstError !== undefined) throw firstError
}
