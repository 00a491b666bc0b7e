/**
 * What an error of etcd means for the call that got it. The numbers are gRPC's; the texts matter only where one number
 * stands for several things.
 */
import { PagelogError } from '../base/index.ts'
import type { WireError } from './etcd-wire.ts'
import type { HttpAnswer } from './http-calls.ts'

export const GRPC = {
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** An error that etcd answered. */
export class EtcdRefusal extends Error {
  override readonly name = 'EtcdRefusal'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }

  /** The token is not, or no longer, known: a new one helps. */
  get wantsToken(): boolean {
    return this.code === GRPC.unauthenticated || this.message.includes('revision of auth store is old')
  }

  get authenticationIsOff(): boolean {
    return this.message.includes('authentication is not enabled')
  }

  get isCompacted(): boolean {
    return this.code === GRPC.outOfRange
  }

  /** Another member may do better; says nothing of whether this one did it. */
  get isOfTheMember(): boolean {
    const { code, message } = this
    if (code === GRPC.resourceExhausted) return !message.includes('space exceeded')
    return !sureCodes.has(code)
  }

  /** A change that was answered with it was surely not made. */
  get isSure(): boolean {
    return sureCodes.has(this.code)
  }
}

/** The request was looked at and refused. All others (unavailable, deadline exceeded, internal …) leave it open. */
const sureCodes: ReadonlySet<number> = new Set([
  GRPC.invalidArgument,
  GRPC.notFound,
  GRPC.permissionDenied,
  GRPC.resourceExhausted,
  GRPC.failedPrecondition,
  GRPC.outOfRange,
  GRPC.unimplemented,
  GRPC.unauthenticated,
])

/** The error in an answer; undefined when it is none. A streaming call has it in a line, whatever its status. */
export function refusalIn({ status, body }: HttpAnswer): EtcdRefusal | undefined {
  if (status === 200 && !body.startsWith('{"error"')) return undefined
  let wire: WireError & { readonly error?: unknown } = {}
  try {
    wire = JSON.parse(body) as WireError
    if (typeof wire.error === 'object' && wire.error !== null) wire = wire.error
  } catch {
    // Something in between answered, and not etcd: its status is all there is.
  }
  return new EtcdRefusal(wire.code ?? wire.grpc_code ?? -1, wire.message ?? `HTTP status ${status}`)
}

/** What the caller of the store is told. */
export function storeError(refusal: EtcdRefusal): PagelogError {
  const { code, message } = refusal
  const fields = { cause: refusal }
  if (message.includes('lease not found')) {
    return new PagelogError('PAGELOG_LEASE_LOST', 'the lease is gone', fields)
  }
  if (code === GRPC.resourceExhausted) {
    return new PagelogError('PAGELOG_DISK_FULL', `the metadata store has no room: ${message}`, fields)
  }
  if (code === GRPC.permissionDenied || code === GRPC.unauthenticated || message.includes('authentication failed')) {
    return new PagelogError('PAGELOG_INVALID_SETTING', `the metadata store refuses this user: ${message}`, fields)
  }
  if (message.includes('user name is empty')) {
    return new PagelogError('PAGELOG_INVALID_SETTING', 'the metadata store wants a user and a password', fields)
  }
  if (message.includes('too large')) return new PagelogError('PAGELOG_TOO_LARGE', message, fields)
  return new PagelogError('PAGELOG_INVALID_ARGUMENT', `the metadata store refuses the request: ${message}`, fields)
}
