/** Takes the folder of a partition away: to be deleted, or kept under a name that nobody opens. */
import type { Disk, Env } from '../env/index.ts'
import { DAMAGED_DIRECTORY_SUFFIX, DELETE_DIRECTORY_SUFFIX } from './file-names.ts'

/**
 * Renamed first: what is left after a crash is known by its name for what it is, and the name is free at once. Of damaged
 * logs of one partition the last is kept. `path`: of the directory of logs. Rejects as the disk does.
 */
export async function takeAway(
  { disk, random }: Pick<Env, 'disk' | 'random'>,
  path: string,
  name: string,
  suffix: string,
): Promise<void> {
  const unique = [...random.bytes(16)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  const renamed = `${name}.${unique}${suffix}`
  await disk.rename(`${path}/${name}`, `${path}/${renamed}`)
  await disk.syncDirectory(path)
  if (suffix === DELETE_DIRECTORY_SUFFIX) await disk.removeDirectory(`${path}/${renamed}`)
  if (suffix !== DAMAGED_DIRECTORY_SUFFIX) return
  for (const other of await disk.list(path)) {
    if (other !== renamed && isSameLength(other, renamed) && other.startsWith(`${name}.`) && other.endsWith(suffix)) {
      await disk.removeDirectory(`${path}/${other}`)
    }
  }
}

/** So many times as much as all damaged logs that are kept has to be free: the logs that follow them need it once. */
const ROOM_FACTOR = 2

/**
 * Whether a damaged log can be kept beside the one that is copied in its place. Earlier ones count, for what replaces them
 * may still be on its way. What cannot be measured counts as nothing.
 */
export async function hasRoomToKeep(disk: Disk, path: string, name: string): Promise<boolean> {
  const free = await disk.freeSpace(path).catch(() => Number.POSITIVE_INFINITY)
  let kept = 0
  for (const folder of await disk.list(path)) {
    if (folder === name || folder.endsWith(DAMAGED_DIRECTORY_SUFFIX)) kept += await bytesIn(disk, `${path}/${folder}`)
    if (free < ROOM_FACTOR * kept) return false
  }
  return true
}

async function bytesIn(disk: Disk, directory: string): Promise<number> {
  let bytes = 0
  for (const file of await disk.list(directory).catch(() => [])) {
    bytes += (await disk.status(`${directory}/${file}`).catch(() => undefined))?.size ?? 0
  }
  return bytes
}

/** A topic's name may begin with that of another and a dot. */
function isSameLength(a: string, b: string): boolean {
  return a.length === b.length
}
