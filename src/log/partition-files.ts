/**
 * What lies in the directory of a partition: names, sizes and the little of their content that an open needs, read in one
 * go. A clean open of a small partition costs one call in the thread pool where the disk can scan, and no descriptor.
 */
import type { Disk, File, ScannedFile, TailRule } from '../env/index.ts'
import { LEADER_EPOCH_FILE, PARTITION_METADATA_FILE } from './file-names.ts'

/** Holds the active segment from its last index entry on, when its batches are small. */
const LOG_TAIL_BYTES = 8192
const SNAPSHOT_BYTES_MAX = 65_536
const CHECKPOINT_BYTES_MAX = 16_384
const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12

const RULES: readonly TailRule[] = [
  { suffix: '.log', bytes: LOG_TAIL_BYTES, lastOnly: true },
  { suffix: '.index', bytes: OFFSET_ENTRY_BYTES, lastOnly: true },
  { suffix: '.timeindex', bytes: TIME_ENTRY_BYTES, lastOnly: true },
  { suffix: '.snapshot', bytes: SNAPSHOT_BYTES_MAX, lastOnly: true },
  { suffix: LEADER_EPOCH_FILE, bytes: CHECKPOINT_BYTES_MAX, lastOnly: false },
  { suffix: PARTITION_METADATA_FILE, bytes: CHECKPOINT_BYTES_MAX, lastOnly: false },
]

export class PartitionFiles {
  readonly directory: string
  readonly #disk: Disk
  readonly #files: Map<string, ScannedFile>

  private constructor(disk: Disk, directory: string, files: readonly ScannedFile[]) {
    this.#disk = disk
    this.directory = directory
    this.#files = new Map(files.map((file) => [file.name, file]))
  }

  /** Errors: PAGELOG_STORAGE, also when `directory` is none. */
  static async scan(disk: Disk, directory: string): Promise<PartitionFiles> {
    const files = disk.scan === undefined ? await scanPlainly(disk, directory) : await disk.scan(directory, RULES)
    return new PartitionFiles(disk, directory, files)
  }

  /** Sorted. */
  get names(): string[] {
    return [...this.#files.keys()].sort()
  }
  has(name: string): boolean {
    return this.#files.has(name)
  }
  /** 0 for a file that is not there. */
  sizeOf(name: string): number {
    return this.#files.get(name)?.size ?? 0
  }
  /** The last bytes of a file, as far as they were read; none of those that no rule names. */
  tailOf(name: string): Uint8Array {
    return this.#files.get(name)?.tail ?? NO_BYTES
  }

  /** The whole content; undefined when there is no such file. */
  async contentOf(name: string): Promise<Uint8Array | undefined> {
    const file = this.#files.get(name)
    if (file === undefined) return undefined
    if (file.tail !== undefined && file.tail.length === file.size) return file.tail
    return await this.#disk.readFile(`${this.directory}/${name}`)
  }
}

const NO_BYTES = new Uint8Array(0)

/** The same by single calls. */
async function scanPlainly(disk: Disk, directory: string): Promise<ScannedFile[]> {
  const names = await disk.list(directory)
  const lastOf = new Map(RULES.map((rule) => [rule, names.findLast((name) => name.endsWith(rule.suffix))]))
  const files: ScannedFile[] = []
  for (const name of names) {
    const path = `${directory}/${name}`
    const rule = RULES.find((one) => name.endsWith(one.suffix) && (!one.lastOnly || lastOf.get(one) === name))
    if (rule !== undefined) files.push(await readTail(disk, path, name, rule.bytes))
    else {
      const status = await disk.status(path)
      if (status !== undefined && !status.isDirectory) files.push({ name, size: status.size, tail: undefined })
    }
  }
  return files
}

async function readTail(disk: Disk, path: string, name: string, bytes: number): Promise<ScannedFile> {
  const file: File = await disk.open(path, 'read')
  try {
    const { size } = file
    const tail = new Uint8Array(Math.min(bytes, size))
    const count = await file.read(tail, size - tail.length)
    return { name, size, tail: tail.subarray(0, count) }
  } finally {
    await file.close()
  }
}
