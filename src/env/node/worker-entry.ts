/**
 * What runs in a worker thread: finds the job's function and calls it with a disk and a clock of the thread's own.
 * Errors leave as data, since a clone of an Error loses its fields.
 */
import { type ErrorFields, type OperatingErrorCode, PagelogError } from '../../base/index.ts'
import { functionOf } from '../in-thread-workers.ts'
import { movedBuffers } from '../workers.ts'
import { nodeClock } from './clock.ts'
import { nodeDisk } from './disk.ts'

export interface JobMessage {
  readonly module: string
  readonly name: string
  readonly input: unknown
  /** One int32: not 0 when the caller gave up. */
  readonly abortFlag: SharedArrayBuffer | undefined
}

export interface JobFailure {
  readonly code: OperatingErrorCode | undefined
  readonly message: string
  readonly stack: string | undefined
  readonly fields: Omit<ErrorFields, 'cause'>
  readonly cause: string | undefined
}

export type JobAnswer = { readonly output: unknown } | { readonly failure: JobFailure }

/** Called by the pool, by this name. */
export async function runJob(message: JobMessage): Promise<JobAnswer> {
  const flag = message.abortFlag === undefined ? undefined : new Int32Array(message.abortFlag)
  const isAborted = (): boolean => flag !== undefined && Atomics.load(flag, 0) !== 0
  try {
    if (isAborted()) return { output: undefined } // while it waited: the caller looks at its signal
    const work = await functionOf({ module: new URL(message.module), name: message.name })
    return await movingAnswer(await work(message.input, { disk: nodeDisk, clock: nodeClock, isAborted }))
  } catch (error) {
    return { failure: failureOf(error) }
  }
}

/** The answer, for the pool to move the buffers that the job has given up. */
async function movingAnswer(output: unknown): Promise<JobAnswer> {
  const buffers = movedBuffers(output)
  if (buffers.length === 0) return { output }
  const { Piscina } = await import('piscina')
  const answer = { [Piscina.valueSymbol]: { output }, [Piscina.transferableSymbol]: buffers }
  return Piscina.move(answer as never) as unknown as JobAnswer
}

function failureOf(error: unknown): JobFailure {
  if (!(error instanceof Error)) {
    return { code: undefined, message: String(error), stack: undefined, fields: {}, cause: undefined }
  }
  const { message, stack } = error
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  if (!(error instanceof PagelogError)) return { code: undefined, message, stack, fields: {}, cause }
  const { path, offset, position, kafkaCode, retriable } = error
  const known = Object.entries({ path, offset, position, kafkaCode, retriable }).filter(([, it]) => it !== undefined)
  return { code: error.code, message, stack, fields: Object.fromEntries(known), cause }
}

/** The error again, on the caller's side. */
export function errorOfFailure(failure: JobFailure): Error {
  const cause = failure.cause === undefined ? undefined : new Error(failure.cause)
  const error =
    failure.code === undefined
      ? new Error(failure.message, { cause })
      : new PagelogError(failure.code, failure.message, { ...failure.fields, cause })
  if (failure.stack !== undefined) error.stack = failure.stack
  return error
}
