/**
 * Who has lived on a log directory: the incarnations of its broker, the newest first, and the boot of the machine under
 * which its logs were last vouched for. Whoever holds the directory's lock knows that all of them are dead, so a
 * registration that one of them left behind may be taken over. Written before the new incarnation registers: a process
 * that dies in between is known to the next.
 *
 *   pagelog-incarnation.json  {"bootId":"…","incarnations":["…",…],"place":"device:inode"?,"suspects":"all"|["id/index",…]?,
 *                             "synced":true?}
 *
 * `place` is the directory that this was written in: a copy of it has another one, and knows nothing of who is dead.
 * `suspects` are the logs that may have lost records, until the cluster knows of it. `synced`: the broker's settings sync
 * each append, and no log has records of a life in which they did not.
 */
import { PagelogError } from '../base/index.ts'
import type { Disk } from '../env/index.ts'

const FILE = 'pagelog-incarnation.json'
/** A process that dies before it registers leaves one more; a registration is at most a session older than that. */
const REMEMBERED = 32

export interface PastLives {
  readonly bootId: string
  readonly incarnations: readonly string[]
  readonly place?: string | undefined
  readonly suspects?: 'all' | readonly string[] | undefined
  readonly synced?: boolean | undefined
}

export class IncarnationFile {
  readonly #disk: Disk
  readonly #path: string

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#path = `${directory}/${FILE}`
  }

  /** undefined: nobody has lived here. Error: PAGELOG_CORRUPT. */
  async read(): Promise<PastLives | undefined> {
    const content = await this.#disk.readFile(this.#path)
    if (content === undefined) return undefined
    try {
      const past = JSON.parse(new TextDecoder().decode(content)) as Partial<PastLives>
      const { bootId, incarnations, suspects = [] } = past
      const isWhole = typeof bootId === 'string' && Array.isArray(incarnations)
      if (isWhole && (suspects === 'all' || Array.isArray(suspects))) return { ...past, bootId, incarnations }
    } catch {
      // Said below.
    }
    throw new PagelogError('PAGELOG_CORRUPT', `${this.#path} is damaged; remove it, and this replica is copied anew`, {
      path: this.#path,
    })
  }

  async write(lives: PastLives): Promise<void> {
    const text = `${JSON.stringify({ ...lives, incarnations: lives.incarnations.slice(0, REMEMBERED) })}\n`
    await this.#disk.replaceFile(this.#path, new TextEncoder().encode(text))
  }
}
