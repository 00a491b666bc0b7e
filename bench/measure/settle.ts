/** The machine as one that has been working for a while and is quiet now: before a run that is to be compared with others. */
import { useMemory } from './free-memory.ts'
import { settleWriteBack } from './write-back.ts'

/** About, once the first time is over, which takes up to a minute. */
export const SETTLE_SECONDS = 12

export interface Settled {
  /** False: more was dirty after a minute than should be. */
  readonly writeBackQuiet: boolean
  /** Bytes. */
  readonly memoryUsed: number
}

/** With scratch space of the run, on a file system that has a page cache; see there what stays in it. */
export async function settleMachine(
  directory: string,
  signal: AbortSignal,
  onPhase: (what: string) => void,
): Promise<Settled> {
  onPhase('write-back')
  const { quiet } = await settleWriteBack(signal)
  onPhase('memory')
  return { writeBackQuiet: quiet, memoryUsed: await useMemory(directory, signal) }
}
