/** Field 22 of /proc/<pid>/stat: with the id it names one process for as long as the machine runs. */
import { readFileSync } from 'node:fs'

/** Ended, and nobody has asked for its status yet. */
const ENDED = new Set(['Z', 'X'])

/** undefined: there is no such process, or none any more. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return ENDED.has(fields[0]!) ? undefined : fields[19]
  } catch {
    return undefined
  }
}
