/**
 * `Disk`: every file operation of the core goes through here, so that tests can lie about it. The real one is
 * `env/node/`. Paths are absolute or relative to the process; offsets in files are called *positions*, in bytes.
 */

/**
 * How a file is opened. `read`: must exist, else PAGELOG_NOT_FOUND. `write`: read and write, created when missing.
 * `create`: as write, must not exist. A new name is durable only after `syncDirectory`.
 */
export type OpenMode = 'read' | 'write' | 'create'

/** Order of work in the thread pool (design §3): appends never wait behind the others. */
export interface File {
  readonly path: string
  /** Bytes as this process knows them: grown by writes and truncations made through this handle, no system call. */
  readonly size: number

  /**
   * Writes all `parts`, one after the other, at `position` (a gathered write), and resolves once the kernel has taken
   * every byte. The parts must not change until then. A short write is truncated off and re-tried once to learn its
   * errno; afterwards nothing of this call is kept. Errors: PAGELOG_DISK_FULL (file as before), PAGELOG_STORAGE.
   *
   * Writes happen in the order of the calls, which need not wait for each other. Once one was refused, none is taken that
   * would leave a hole behind the end of the file: those that were to follow it are refused with its error.
   */
  write(parts: readonly Uint8Array[], position: number): Promise<void>

  /** `write`, and a `dataSync` that begins when the bytes are written: one trip to the pool where the platform can. */
  writeSynced(parts: readonly Uint8Array[], position: number): SyncedWrite

  /** Reads up to `into.length` bytes at `position`, in the pool; returns how many (less only at the end of the file). */
  read(into: Uint8Array, position: number): Promise<number>

  /**
   * Reads without waiting for a device: the bytes when they all are in the page cache (or the rest of the file was
   * reached), else -1: call `read`. May always answer -1.
   */
  tryRead(into: Uint8Array, position: number): number

  /**
   * fdatasync, of all that was written when it is called. Calls may share one. A failure, a full
   * disk included, is final for the file: PAGELOG_STORAGE, never retried by anyone (reliability L5).
   */
  dataSync(): Promise<void>
  truncate(size: number): Promise<void>
  /** Reserves blocks without changing `size`; does nothing where the platform cannot. */
  allocate(position: number, length: number): Promise<void>
  /** Drops the range from the page cache (posix_fadvise DONTNEED); does nothing where the platform cannot. */
  dropCache(position: number, length: number): Promise<void>

  /** A part of this file to be sent; keeps the descriptor open until released. */
  region(position: number, length: number): FileRegion

  /** Closes once every region is released. Idempotent. */
  close(): Promise<void>
}

/** `synced` rejects as `written` when that does; nobody has to listen to it. */
export interface SyncedWrite {
  /** May be as late as `synced` while nobody says `hurry`. */
  readonly written: Promise<void>
  readonly synced: Promise<void>
  /** Somebody waits for `written`. */
  hurry(): void
}

/** Bytes of a file on their way to a socket. Whoever is given one must release it exactly once: sent, failed or dropped. */
export interface FileRegion {
  readonly file: File
  readonly position: number
  readonly length: number
  release(): void
}

/** Held on a file until released, by one process at a time. */
export interface FileLock {
  release(): Promise<void>
}

export interface FileStatus {
  readonly size: number
  readonly modifiedMs: number
  readonly isDirectory: boolean
  /** `device:inode`, which a copy does not share; undefined where nobody tells. */
  readonly place?: string
}

/** Which files `Disk.scan` reads the end of: those whose name ends with `suffix`, or of them only the last by name. */
export interface TailRule {
  readonly suffix: string
  readonly bytes: number
  readonly lastOnly: boolean
}

export interface ScannedFile {
  readonly name: string
  readonly size: number
  /** Its last bytes, all of it when it is that small; undefined when no rule names it. */
  readonly tail: Uint8Array | undefined
}

/** Whether the name of a file is durable when it is written, or only after the next `syncDirectory`. */
export type NameSync = 'synced' | 'unsynced'

export interface Disk {
  open(path: string, mode: OpenMode): Promise<File>
  /** A whole small file; undefined when there is none. */
  readFile(path: string): Promise<Uint8Array | undefined>
  /**
   * Writes `path`.tmp, syncs it, renames it over `path`, syncs the directory (reliability L7), unless the caller does that
   * for several files together. PAGELOG_DISK_FULL: the old content stays. PAGELOG_STORAGE: one of the two is there.
   */
  replaceFile(path: string, content: Uint8Array, names?: NameSync): Promise<void>
  status(path: string): Promise<FileStatus | undefined>
  rename(from: string, to: string): Promise<void>
  /** Nothing happens when the file is missing. */
  unlink(path: string): Promise<void>
  /** Names in a directory, sorted. */
  list(directory: string): Promise<string[]>
  /**
   * The files in a directory, its subdirectories left out, with what `rules` say, in one call of the pool. Only where the
   * platform can: callers do without it by `list`, `status` and reads.
   */
  readonly scan?: ((directory: string, rules: readonly TailRule[]) => Promise<ScannedFile[]>) | undefined
  /** With parents; nothing happens when it is there. What it makes is durable when it returns (reliability L6). */
  makeDirectory(path: string): Promise<void>
  /** With all that is in it; nothing happens when it is missing. */
  removeDirectory(path: string): Promise<void>
  /**
   * fsync of the directory: makes creations, renames and removals in it durable (reliability L6). A failure, a full disk
   * included, is final: PAGELOG_STORAGE, and from then on each time this process asks for it (reliability L5).
   */
  syncDirectory(path: string): Promise<void>
  /** Bytes an unprivileged process could still write. */
  freeSpace(path: string): Promise<number>
  /** Takes an exclusive lock on `path` (created when missing). Error: PAGELOG_LOCKED. */
  lock(path: string): Promise<FileLock>
}
