/**
 * What a group of transactions, grants and revocations will do, before it is durable: each is evaluated against the
 * state that the ones in front of it will leave. Nothing of it is seen by anybody until the journal has it.
 */
import { PagelogError } from '../base/index.ts'
import type { Change } from './journal-payload.ts'
import type { Compare, KeyValue, Operation, TransactionResult } from './store.ts'

export interface StoreState {
  readonly revision: number
  readonly keys: ReadonlyMap<string, KeyValue>
  readonly leases: {
    has(id: string): boolean
    keysOf(id: string): Iterable<string>
  }
}

export class Staged {
  /** By revision, the first one being the state's next. */
  readonly transactions: Change[][] = []
  readonly granted: [id: string, ttlMs: number][] = []
  readonly revoked: string[] = []
  readonly #state: StoreState
  readonly #changed = new Map<string, KeyValue | undefined>()
  #revision: number

  constructor(state: StoreState) {
    this.#state = state
    this.#revision = state.revision
  }

  get isEmpty(): boolean {
    return this.transactions.length + this.granted.length + this.revoked.length === 0
  }

  grant(id: string, ttlMs: number): void {
    this.granted.push([id, ttlMs])
  }

  /** Deletes the lease's keys at one revision, if it has any. */
  revoke(id: string): void {
    if (!this.#hasLease(id)) return
    this.revoked.push(id)
    const keys = new Set(this.#state.leases.keysOf(id))
    for (const key of this.#changed.keys()) keys.add(key)
    const held = [...keys].filter((key) => this.#get(key)?.lease === id).sort()
    if (held.length > 0) this.#stage(held.map((key): Change => ['d', key]))
  }

  /** Throws PAGELOG_LEASE_LOST for a put on a lease that is gone. */
  evaluate(compare: readonly Compare[], operations: readonly Operation[]): TransactionResult {
    if (!compare.every((one) => this.#holds(one))) return { succeeded: false, revision: this.#revision }
    const changes: Change[] = []
    const deleted = new Set<string>()
    for (const operation of operations) {
      if (operation.type === 'put') changes.push(this.#put(operation))
      else this.#delete(operation, deleted, changes)
    }
    if (changes.length > 0) this.#stage(changes)
    return { succeeded: true, revision: this.#revision }
  }

  #put({ key, value, lease }: Operation & { type: 'put' }): Change {
    if (lease === undefined) return ['p', key, value]
    if (!this.#hasLease(lease)) {
      throw new PagelogError('PAGELOG_LEASE_LOST', 'the lease that a key was to hang on is gone')
    }
    return ['p', key, value, lease]
  }

  #delete(operation: Exclude<Operation, { type: 'put' }>, deleted: Set<string>, changes: Change[]): void {
    const keys = operation.type === 'delete' ? [operation.key] : this.#keysBelow(operation.prefix)
    for (const key of keys) {
      if (deleted.has(key) || !this.#get(key)) continue
      deleted.add(key)
      changes.push(['d', key])
    }
  }

  #keysBelow(prefix: string): string[] {
    const keys = new Set<string>()
    for (const key of this.#state.keys.keys()) if (key.startsWith(prefix)) keys.add(key)
    for (const key of this.#changed.keys()) if (key.startsWith(prefix)) keys.add(key)
    return [...keys].sort()
  }

  #stage(changes: Change[]): void {
    const revision = ++this.#revision
    for (const change of changes) this.#changed.set(change[1], changed(this.#get(change[1]), change, revision))
    this.transactions.push(changes)
  }

  #hasLease(id: string): boolean {
    if (this.revoked.includes(id)) return false
    return this.#state.leases.has(id) || this.granted.some(([granted]) => granted === id)
  }

  #get(key: string): KeyValue | undefined {
    return this.#changed.has(key) ? this.#changed.get(key) : this.#state.keys.get(key)
  }

  #holds(one: Compare): boolean {
    const pair = this.#get(one.key)
    if (one.field === 'value') return pair?.value === one.equals
    return (pair?.[one.field] ?? 0) === one.equals
  }
}

/** What a key is after a change; undefined when it is deleted. */
export function changed(old: KeyValue | undefined, change: Change, revision: number): KeyValue | undefined {
  if (change[0] === 'd') return undefined
  const [, key, value, lease] = change
  return {
    key,
    value,
    createRevision: old?.createRevision ?? revision,
    modRevision: revision,
    version: (old?.version ?? 0) + 1,
    ...(lease === undefined ? {} : { lease }),
  }
}
