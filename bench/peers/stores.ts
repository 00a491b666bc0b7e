/**
 * classic-level (LevelDB) and lmdb, laid by npm in a cache outside the repository on first use: their own prebuilt
 * binaries, no install script is run. Their versions are pinned in peers/stores/package.json.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { installPackages, packagesDirectory } from './npm-packages.ts'

/** The directory that `loadStore` takes, when they were installed before. */
export function installedStores(): string | undefined {
  const directory = packagesDirectory('stores')
  return directory !== undefined && existsSync(join(directory, 'node_modules')) ? directory : undefined
}

/** Installs them unless they are there; the directory that `loadStore` takes. */
export function installStores(signal?: AbortSignal): Promise<string> {
  return installPackages('stores', signal)
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
