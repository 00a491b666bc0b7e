/** Where the package lies, and where its built files are: drivers and targets are processes of their own, so they run built code. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The directory of package.json, above this file whether it runs from bench/ or dist/bench/. */
export const packageRoot: string = findRoot(dirname(fileURLToPath(import.meta.url)))

function findRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory
  const parent = dirname(directory)
  if (parent === directory) throw new Error('package.json not found above the benchmark')
  return findRoot(parent)
}

/** A built file by its path in the repository: `bench/drivers/main.ts` is `dist/bench/drivers/main.js`. */
export function builtFile(source: string): string {
  const path = join(packageRoot, 'dist', source.replace(/\.ts$/, '.js'))
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`npm run build\` first`)
  return path
}

/** Things fetched once and kept between runs (Kafka's jars): never in the repository. */
export function cacheDirectory(): string {
  return process.env.PAGELOG_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'pagelog')
}
