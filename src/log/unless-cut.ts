/**
 * Reads that wait may end on the other side of a cut of the end of the log: what they met there was being taken away, or
 * is something else by now. They are done again, on the log as it is.
 */
import { hasCode } from '../base/index.ts'
import type { LogState } from './log-state.ts'

/** What `reading` gives, unless the log was cut meanwhile: then what `again` does; `drop` is given what came of the first. */
export async function unlessCut<T>(
  state: Pick<LogState, 'cuts'>,
  reading: Promise<T>,
  again: () => T | Promise<T>,
  drop: (found: T) => void = () => {},
): Promise<T> {
  const { cuts } = state
  let found: T
  try {
    found = await reading
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_CORRUPT') || state.cuts === cuts) throw error
    return await again()
  }
  if (state.cuts === cuts) return found
  drop(found)
  return await again()
}
