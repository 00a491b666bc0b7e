/** What tests need of the registries is laid in the cache outside the repository on first use. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory } from '../../bench/process/package-root.ts'

/** The directory that `make` fills, once for every text of the files that pin its versions. */
export async function made(
  name: string,
  files: readonly string[],
  make: (directory: string) => Promise<void>,
): Promise<string> {
  const digest = createHash('sha256')
  for (const path of files) digest.update(readFileSync(path))
  const directory = join(cacheDirectory(), `${name}-${digest.digest('hex').slice(0, 12)}`)
  if (existsSync(directory)) return directory
  const fresh = `${directory}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  try {
    await make(fresh)
    // Renamed when complete; another process may have been first.
    if (!existsSync(directory)) renameSync(fresh, directory)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return directory
}
