/**
 * System calls on descriptors that Node does not offer. The caller keeps the descriptors open during the call, for a
 * promise until it is settled. Wrong arguments throw TypeError or RangeError; failures carry `code`, `errno`, `syscall`
 * as Node's own errors do.
 */
export interface FileCalls {
  /**
   * Reads what is in the page cache, never waiting for a device: the bytes read (fewer where the rest is not cached, or
   * at the end of the file), -1 when it would wait, -2 when the file cannot be read this way.
   */
  tryRead(fd: number, into: Uint8Array, position: number): number
  /** Reserves blocks, the file's size stays; does nothing where the file system cannot. In the pool. */
  allocate(fd: number, position: number, length: number): Promise<void>
  /** Clean pages of the range leave the page cache. In the pool. */
  dropCache(fd: number, position: number, length: number): Promise<void>
  /** Takes the exclusive lock of this open file; false when another open file has it. Given back by its last close. */
  lock(fd: number): boolean
  /**
   * A second descriptor of the same open file or socket, not inherited by child processes. Closed by `close`, or at the
   * exit of this thread.
   */
  duplicate(fd: number): number
  /** Closes a descriptor that `duplicate` made (throws EBADF for any other); no call on it may be in flight. */
  close(fd: number): void
  /**
   * Moves bytes and file regions to a socket, one after the other, in the pool. `pieces` has three numbers each:
   * descriptor, position and length of a region; with a descriptor of -1 position and length in `bytes`, which are copied
   * before this returns. While the socket is full the pool's thread waits for it, `patienceMs` in all (0 to 100).
   * `socketFd` must come from `duplicate` and be non-blocking (all of Node's are). Resolves with the bytes the socket has
   * taken; fewer than asked for: it is full for now (or a failure came after these bytes, which the next call meets).
   * Rejects with code `EOF` when the file of the first piece ends at its position, else with the errno's name (`EPIPE`,
   * `ECONNRESET`, `EIO` …).
   */
  sendRun(socketFd: number, bytes: Uint8Array, pieces: Float64Array, patienceMs: number): Promise<number>
  /** Asks that the kernel keep no more than about twice so many unsent bytes of a socket. Without effect where it cannot. */
  limitSendBuffer(socketFd: number, bytes: number): void
  /**
   * Asks that connections which the listener accepts from now on send without pacing, whatever the machine's congestion
   * control: for one that only this machine reaches. Without effect where it cannot.
   */
  acceptUnpaced(listenerFd: number): void
  /**
   * The regular files of a directory with their sizes and the ends of those that `rules` name, in one call of the pool.
   * The formats of rules and answer are in native/directory_scan.h.
   */
  scan(path: string, rules: string): Promise<ArrayBuffer>
  /**
   * Writes all of `parts`, in the pool; they must not change until then. Writes on the same descriptor happen one after the
   * other, without a turn of the event loop between them. `done` is called when the kernel has all bytes and, with
   * `sync`, again after the fdatasync of the same call, which never runs when the write failed; the first of the two comes
   * with the second unless another write of the file or `hurry` asks for it. `count`: bytes taken. One that fails takes along those that follow it until its `done` is called: they leave no byte, code `ECANCELED`, count -1.
   */
  write(
    fd: number,
    parts: readonly Uint8Array[],
    position: number,
    sync: boolean,
    done: (error: NodeJS.ErrnoException | undefined, count: number) => void,
  ): void
  /** The `done` of what is written, or is being written, does not wait for a sync. */
  hurry(fd: number): void
}
