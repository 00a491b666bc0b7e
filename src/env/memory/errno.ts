/** Errors as the system calls of a real disk make them: the cause of our operating errors. */
const TEXTS = {
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EIO: 'input/output error',
  EISDIR: 'is a directory',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
} as const

export type Errno = keyof typeof TEXTS

export class ErrnoError extends Error {
  readonly code: Errno

  constructor(code: Errno, path: string) {
    super(`${code}: ${TEXTS[code]}, '${path}'`)
    this.code = code
  }
}
