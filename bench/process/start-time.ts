/** Field 22 of /proc/<pid>/stat: with the id it names one process for as long as the machine runs. */
import { readFileSync } from 'node:fs'

/** undefined: there is no such process. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
