/**
 * One gathered write at a position. libuv cuts it at IOV_MAX and goes on after a short write by itself; when it fails
 * half-way it reports a short count and the errno is lost. Then the first bytes of the remainder are written once more
 * to learn it (a full disk says so again, if nobody made room meanwhile), and the tail is truncated off, so that nothing
 * of the call is kept.
 */
import { ftruncate, write, writev } from 'node:fs'
import { finalError, storageError } from './storage-error.ts'

/** Where to write. `sizeBefore`: the file's size, to which it is cut back. */
export interface WriteTarget {
  readonly fd: number
  readonly path: string
  readonly sizeBefore: number
}

/** Called once: with no error, all bytes up to position `end` are in the kernel. */
export type Written = (error: Error | undefined, end: number) => void

/** The kernel takes at most 2 GiB less a page in one call, and Node's count is a 32-bit number. */
export const WRITE_BYTES_MAX = 1 << 30
const PROBE_BYTES = 4096

/** Writes `parts` one after the other; errors are PAGELOG_DISK_FULL (file as before) and PAGELOG_STORAGE. */
export function writeParts(target: WriteTarget, parts: readonly Uint8Array[], position: number, done: Written): void {
  let byteLength = 0
  for (let i = 0; i < parts.length; i++) byteLength += parts[i]!.length
  if (byteLength === 0) {
    queueMicrotask(() => done(undefined, position))
    return
  }
  if (byteLength > WRITE_BYTES_MAX) {
    writeInRuns(target, parts, position, done)
    return
  }
  const answered = (error: Error | null, written: number): void => {
    if (error === null && written === byteLength) done(undefined, position + byteLength)
    else if (error !== null) takeBack(target, position, position, error, done)
    else learnErrno(target, parts, position, written, done)
  }
  if (parts.length === 1) write(target.fd, parts[0]!, 0, byteLength, position, answered)
  else writev(target.fd, parts as Uint8Array[], position, answered)
}

/** More than one call may carry: run by run, each of whole parts or a piece of a huge one. */
function writeInRuns(target: WriteTarget, parts: readonly Uint8Array[], position: number, done: Written): void {
  const runs: Uint8Array[][] = []
  let room = 0
  for (const part of parts) {
    for (let from = 0; from < part.length; from += WRITE_BYTES_MAX) {
      const piece = part.subarray(from, from + WRITE_BYTES_MAX)
      if (piece.length > room) {
        runs.push([])
        room = WRITE_BYTES_MAX
      }
      runs.at(-1)!.push(piece)
      room -= piece.length
    }
  }
  const next = (at: number): void => {
    const run = runs.shift()
    if (run === undefined) {
      done(undefined, at)
      return
    }
    writeParts(target, run, at, (error, end) => {
      if (!error) next(end)
      else if (at > position && position < target.sizeBefore) done(overwritten(target, position, error), at)
      else done(error, at)
    })
  }
  next(position)
}

function learnErrno(
  target: WriteTarget,
  parts: readonly Uint8Array[],
  position: number,
  written: number,
  done: Written,
): void {
  const probe = remainder(parts, written)
  write(target.fd, probe, 0, probe.length, position + written, (error) => {
    takeBack(target, position, position + written, error ?? outOfRoom(), done)
  })
}

/**
 * The remainder could be written after all: there was no room a moment ago, and now there is, since others who write on
 * the same disk have cut off what did not fit either. What no error was told of has not reached the file, so to refuse
 * the whole is enough; a failing device says so again to whoever writes next.
 */
function outOfRoom(): Error {
  return Object.assign(new Error('a short write, whose remainder had room when it was tried again'), { code: 'ENOSPC' })
}

/** Cuts off what came behind the old end; what was overwritten before it cannot be brought back. */
export function takeBack(target: WriteTarget, position: number, reached: number, cause: Error, done: Written): void {
  const { fd, path, sizeBefore } = target
  const failure = storageError('write', path, cause, position)
  if (position < sizeBefore && reached > position) {
    done(overwritten(target, position, cause), position)
    return
  }
  // What cannot be cut off stays behind the end of the file: even for want of space that is no mere refusal.
  ftruncate(fd, sizeBefore, (error) => done(error ? finalError('truncate', path, error) : failure, position))
}

function overwritten(target: WriteTarget, position: number, cause: Error): Error {
  return storageError('write', target.path, new Error(`overwritten in part: ${cause.message}`, { cause }), position)
}

/** The first bytes of `parts` after the first `skipped`, of one part. */
function remainder(parts: readonly Uint8Array[], skipped: number): Uint8Array {
  let left = skipped
  for (const part of parts) {
    if (left < part.length) return part.subarray(left, left + PROBE_BYTES)
    left -= part.length
  }
  return new Uint8Array(1)
}
