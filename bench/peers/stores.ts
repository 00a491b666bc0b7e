/**
 * classic-level (LevelDB) and lmdb, laid by npm in a cache outside the repository on first use: their own prebuilt
 * binaries, no install script is run. Their versions are pinned in peers/stores/package.json.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { runToEnd } from '../process/children.ts'
import { cacheDirectory, packageRoot } from '../process/package-root.ts'

const peer = join(packageRoot, 'bench/peers/stores')

/** Where they are, or would be: a directory of its own for every set of versions. */
function storesDirectory(): string | undefined {
  const pinned = join(peer, 'package.json')
  if (!existsSync(pinned)) return undefined
  const stamp = createHash('sha256').update(readFileSync(pinned)).digest('hex').slice(0, 12)
  return join(cacheDirectory(), `stores-${stamp}`)
}

/** The directory that `loadStore` takes, when they were installed before. */
export function installedStores(): string | undefined {
  const directory = storesDirectory()
  return directory !== undefined && existsSync(join(directory, 'node_modules')) ? directory : undefined
}

/** Installs them unless they are there; the directory that `loadStore` takes. */
export async function installStores(signal?: AbortSignal): Promise<string> {
  const directory = storesDirectory()
  if (directory === undefined) throw new Error(`${peer} is missing: peers are measured from the repository`)
  if (existsSync(join(directory, 'node_modules'))) return directory
  const fresh = `${directory}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  try {
    copyFileSync(join(peer, 'package.json'), join(fresh, 'package.json'))
    const args = ['install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error']
    await runToEnd('npm (fetching classic-level and lmdb)', { command: 'npm', args, cwd: fresh }, signal)
    // Renamed when complete; another process may have been first.
    if (!existsSync(directory)) renameSync(fresh, directory)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return directory
}

/** A package of theirs, untyped: whoever asks states the little of it that is used. */
export function loadStore(directory: string, name: 'classic-level' | 'lmdb'): unknown {
  return createRequire(join(directory, 'package.json'))(name)
}

/** `classic-level 3.0.0, lmdb 3.5.6`. */
export function storeVersions(directory: string): string {
  const names = ['classic-level', 'lmdb'] as const
  return names
    .map((name) => {
      const text = readFileSync(join(directory, 'node_modules', name, 'package.json'), 'utf8')
      return `${name} ${(JSON.parse(text) as { version: string }).version}`
    })
    .join(', ')
}
