/**
 * Random transactions and leases against a model of a few lines: after every step the store holds what the model holds,
 * and a watch from the beginning told exactly the model's changes. fast-check prints the seed of what fails.
 */
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Compare, KeyValue, MetadataStore, Operation } from '../../src/metadata/index.ts'
import { patience, Seen } from './conformance.ts'
import { put, type StoreUnderTest } from './stores.ts'

const KEYS = ['a', 'b', 'c/1', 'c/2', 'c/3'] as const
const TTL_MS = 10_000

/** `lease` counts the leases that were granted; beyond the last it means none. */
interface PlannedPut {
  readonly type: 'put'
  readonly key: string
  readonly value: string
  readonly lease: number
}
type Planned = PlannedPut | Exclude<Operation, { type: 'put' }>

interface PlannedCompare {
  readonly key: string
  readonly field: 'createRevision' | 'modRevision' | 'version' | 'value'
  readonly holds: boolean
}

type Step =
  | { readonly type: 'transact'; readonly compare: readonly PlannedCompare[]; readonly operations: readonly Planned[] }
  | { readonly type: 'grant' }
  | { readonly type: 'revoke'; readonly lease: number }
  /** More than a lease's time passes; those of the bits are kept alive meanwhile. */
  | { readonly type: 'pass'; readonly kept: number }

const key = fc.constantFrom(...KEYS)
const operation: fc.Arbitrary<Planned> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key, value: fc.string({ maxLength: 4 }), lease: fc.nat(5) }),
  fc.record({ type: fc.constant('delete' as const), key }),
  fc.record({ type: fc.constant('deletePrefix' as const), prefix: fc.constantFrom('c/', 'a', '') }),
)
const compare = fc.record({
  key,
  field: fc.constantFrom('createRevision' as const, 'modRevision' as const, 'version' as const, 'value' as const),
  holds: fc.boolean(),
})
const transact: fc.Arbitrary<Step> = fc.record({
  type: fc.constant('transact' as const),
  compare: fc.array(compare, { maxLength: 2 }),
  operations: fc.array(operation, { maxLength: 4 }),
})
const leaseSteps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('grant' as const) }),
  fc.record({ type: fc.constant('revoke' as const), lease: fc.nat(4) }),
)
const pass: fc.Arbitrary<Step> = fc.record({ type: fc.constant('pass' as const), kept: fc.nat(31) })

/** What the store should hold. */
class Model {
  readonly pairs = new Map<string, KeyValue>()
  readonly told: string[] = []
  /** Ids in the order of granting; undefined when gone. */
  readonly leases: (string | undefined)[] = []
  revision: number

  constructor(revision: number) {
    this.revision = revision
  }

  holds({ key: of, field, equals }: Compare): boolean {
    const pair = this.pairs.get(of)
    return field === 'value' ? pair?.value === equals : (pair?.[field] ?? 0) === equals
  }

  /** The error that the operations get; undefined when they are applied. */
  apply(operations: readonly Operation[]): string | undefined {
    const lost = operations.some(({ type, ...rest }) => {
      const { lease } = rest as { lease?: string }
      return type === 'put' && lease !== undefined && !this.leases.includes(lease)
    })
    if (lost) return 'PAGELOG_LEASE_LOST'
    const told: string[] = []
    const revision = this.revision + 1
    for (const one of operations) {
      if (one.type === 'put') {
        const old = this.pairs.get(one.key)
        this.pairs.set(one.key, {
          key: one.key,
          value: one.value,
          createRevision: old?.createRevision ?? revision,
          modRevision: revision,
          version: (old?.version ?? 0) + 1,
          ...(one.lease === undefined ? {} : { lease: one.lease }),
        })
        told.push(`put ${one.key}${one.value && `=${one.value}`}`)
      } else told.push(...this.#remove(one.type === 'delete' ? (of) => of === one.key : below(one.prefix)))
    }
    this.#commit(told)
    return undefined
  }

  end(index: number): void {
    const lease = this.leases[index]
    this.leases[index] = undefined
    if (lease !== undefined) this.#commit(this.#remove((of) => this.pairs.get(of)?.lease === lease))
  }

  #remove(chosen: (key: string) => boolean): string[] {
    const gone = [...this.pairs.keys()].filter(chosen).sort()
    for (const of of gone) this.pairs.delete(of)
    return gone.map((of) => `delete ${of}`)
  }

  #commit(told: readonly string[]): void {
    if (told.length === 0) return
    this.revision++
    this.told.push(told.join(', '))
  }
}

function below(prefix: string): (key: string) => boolean {
  return (of) => of.startsWith(prefix)
}

/** A key put twice, or put and deleted, in one transaction. */
function isRefused(operations: readonly Operation[]): boolean {
  const puts = operations.flatMap((one) => (one.type === 'put' ? [one.key] : []))
  const gone = (of: string): boolean =>
    operations.some(
      (one) => (one.type === 'delete' && one.key === of) || (one.type === 'deletePrefix' && of.startsWith(one.prefix)),
    )
  return new Set(puts).size < puts.length || puts.some(gone)
}

class Run {
  readonly #under: StoreUnderTest
  readonly #store: MetadataStore
  readonly #model: Model

  constructor(under: StoreUnderTest, model: Model) {
    this.#under = under
    this.#store = under.store
    this.#model = model
  }

  async take(step: Step): Promise<void> {
    const { leases } = this.#model
    if (step.type === 'grant') leases.push((await this.#store.grantLease(TTL_MS)).id)
    else if (step.type === 'transact') await this.#transact(step.compare, step.operations)
    else if (step.type === 'pass') await this.#pass(step.kept)
    else if (step.lease < leases.length) {
      await this.#store.revokeLease(leases[step.lease] ?? '1')
      this.#model.end(step.lease)
    }
    await vi.waitFor(async () => {
      const { pairs, revision } = await this.#store.range('')
      expect(revision).toBe(this.#model.revision)
      expect(pairs).toEqual([...this.#model.pairs.values()].sort((a, b) => (a.key < b.key ? -1 : 1)))
    }, patience)
  }

  async #transact(planned: readonly PlannedCompare[], operations: readonly Planned[]): Promise<void> {
    const model = this.#model
    const asked = planned.map(({ key: of, field, holds }): Compare => {
      const pair = model.pairs.get(of)
      if (field === 'value') return { key: of, field, equals: holds ? (pair?.value ?? 'none') : 'another value' }
      return { key: of, field, equals: (pair?.[field] ?? 0) + (holds ? 0 : 1) }
    })
    const real = operations.map((one): Operation => {
      if (one.type !== 'put' || one.lease >= model.leases.length) {
        return one.type === 'put' ? put(one.key, one.value) : one
      }
      return put(one.key, one.value, model.leases[one.lease] ?? '123456789')
    })
    const result = this.#store.transact(asked, real)
    if (isRefused(real)) {
      await expect(result).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
      return
    }
    const succeeds = asked.every((one) => model.holds(one))
    const code = succeeds ? model.apply(real) : undefined
    if (code !== undefined) await expect(result).rejects.toMatchObject({ code })
    else expect(await result).toEqual({ succeeded: succeeds, revision: model.revision })
  }

  async #pass(kept: number): Promise<void> {
    const { leases } = this.#model
    const living = [...leases.keys()].filter((index) => leases[index] !== undefined)
    const isKept = (index: number): boolean => (kept & (1 << index)) !== 0
    for (let part = 0; part < 3; part++) {
      if (part > 0) for (const index of living.filter(isKept)) await this.#store.keepAlive(leases[index]!)
      await this.#under.pass(0.4 * TTL_MS)
    }
    for (const index of living) if (!isKept(index)) this.#model.end(index)
  }
}

export function modelTest(
  name: string,
  create: () => Promise<StoreUnderTest>,
  options: { readonly runs: number; readonly timePasses: boolean },
): void {
  const step = options.timePasses
    ? fc.oneof({ weight: 4, arbitrary: transact }, leaseSteps, pass)
    : fc.oneof({ weight: 4, arbitrary: transact }, leaseSteps)
  test(`${name}: any transactions and leases do what the model does`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const under = await create()
        try {
          const { revision } = await under.store.range('')
          const seen = new Seen(under.store, '', revision + 1)
          const model = new Model(revision)
          const run = new Run(under, model)
          for (const one of steps) await run.take(one)
          await seen.saw(...model.told)
        } finally {
          await under.close()
        }
      }),
      { numRuns: options.runs },
    )
  }, 120_000)
}
