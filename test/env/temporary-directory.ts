import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A fresh directory, removed when the running test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-env-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** How many descriptors of this process are open on `path`. */
export function descriptorsOn(path: string): number {
  return readdirSync('/proc/self/fd').filter((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).replace(/ \(deleted\)$/, '') === path
    } catch {
      return false // closed since it was listed
    }
  }).length
}
