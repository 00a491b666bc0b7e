/** Takes the folder of a partition away: to be deleted, or kept under a name that nobody opens. */
import type { Env } from '../env/index.ts'
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

/** A topic's name may begin with that of another and a dot. */
function isSameLength(a: string, b: string): boolean {
  return a.length === b.length
}
