/**
 * Finds and loads the addon: a prebuilt one for this platform, else the one built here. `PAGELOG_NATIVE=0` leaves it
 * out; then, and where there is none, everything works the plain-JS way.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FileCalls } from './file-calls.ts'

/** What native/addon.cc exports. */
export interface Addon {
  readonly interfaceVersion: number
  crc32c(bytes: Uint8Array, start?: number, end?: number, seed?: number): number
  /** The table way of the addon, whatever the CPU has: for tests. */
  crc32cByTable(bytes: Uint8Array, start?: number, end?: number, seed?: number): number
  checkBatch(bytes: Uint8Array, position: number, end: number): number
  checkBatchStored(bytes: Uint8Array, position: number, end: number): number
  /** Linux only. */
  readonly fileCalls?: FileCalls
}

/** Of native/addon.cc; an addon with another one is a left-over build. */
const INTERFACE_VERSION = 4

/** The addon, or why there is none. Throws only for an addon that was built from other sources. */
export function loadAddon(): { addon?: Addon; reason?: string } {
  if (process.env.PAGELOG_NATIVE === '0') return { reason: 'PAGELOG_NATIVE=0' }
  const root = packageRoot(dirname(fileURLToPath(import.meta.url)))
  const places = [
    join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'pagelog.node'),
    join(root, 'build', 'Release', 'pagelog.node'),
  ]
  const path = places.find((place) => existsSync(place))
  if (path === undefined) return { reason: 'the addon is not built' }
  let addon: Addon
  try {
    addon = createRequire(import.meta.url)(path) as Addon
  } catch (error) {
    return { reason: `the addon does not load: ${error instanceof Error ? error.message : String(error)}` }
  }
  if (addon.interfaceVersion !== INTERFACE_VERSION) {
    throw new Error(`${path} is of another version of pagelog: run \`npm run build:native\``)
  }
  return { addon }
}

/** The directory that holds the package.json next above; the same from src/ and from dist/src/. */
export function packageRoot(from: string): string {
  for (let directory = from; ; directory = dirname(directory)) {
    if (existsSync(join(directory, 'package.json'))) return directory
    if (dirname(directory) === directory) return from
  }
}
