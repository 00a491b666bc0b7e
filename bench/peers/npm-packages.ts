/**
 * Packages of npm that are measured beside ours, laid in the cache outside the repository on first use: one directory
 * for every text of the package.json that pins them. No install script is run, but for packages that have to be compiled.
 */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runToEnd } from '../process/children.ts'
import { cacheDirectory, packageRoot } from '../process/package-root.ts'

const peers = join(packageRoot, 'bench/peers')

/** Where the packages of bench/peers/`name` are, or would be; undefined in a package that was shipped without them. */
export function packagesDirectory(name: string): string | undefined {
  const pinned = join(peers, name, 'package.json')
  if (!existsSync(pinned)) return undefined
  const stamp = createHash('sha256').update(readFileSync(pinned)).digest('hex').slice(0, 12)
  return join(cacheDirectory(), `${name}-${stamp}`)
}

/** Installs them unless they are there; their directory. */
export async function installPackages(
  name: string,
  signal?: AbortSignal,
  { compiles = false }: { readonly compiles?: boolean } = {},
): Promise<string> {
  const directory = packagesDirectory(name)
  if (directory === undefined) throw new Error(`bench/peers/${name} is missing: peers are measured from the repository`)
  if (existsSync(join(directory, 'node_modules'))) return directory
  const fresh = `${directory}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  try {
    copyFileSync(join(peers, name, 'package.json'), join(fresh, 'package.json'))
    const scripts = compiles ? [] : ['--ignore-scripts']
    const args = ['install', ...scripts, '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error']
    const env = compiles ? headersHere() : {}
    await runToEnd(`npm (fetching ${name})`, { command: 'npm', args, cwd: fresh, env }, signal)
    // Renamed when complete; another process may have been first.
    if (!existsSync(directory)) renameSync(fresh, directory)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return directory
}

/** Tells node-gyp of the headers beside this node, which it would download otherwise. */
function headersHere(): Record<string, string> {
  const place = dirname(dirname(realpathSync(process.execPath)))
  return existsSync(join(place, 'include/node/node.h')) ? { npm_config_nodedir: place } : {}
}

/** A node of another major version, by npx, which keeps it in npm's own cache. */
export async function nodeOfMajor(major: number, signal?: AbortSignal): Promise<string> {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  // What npm has is good enough, and within a network namespace all there is.
  const args = ['--yes', '--prefer-offline', '--package', `node@${major}`, 'node', '-p', 'process.execPath']
  const lines = await runToEnd(`npx (node ${major})`, { command: 'npx', args }, signal)
  const path = lines.split('\n').at(-1)!.trim()
  if (!existsSync(path)) throw new Error(`npx gave no node ${major}`)
  return path
}
