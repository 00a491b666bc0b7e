/**
 * A log against a model (an array of values) under random appends, reads, flushes and closes; unclean ones lose or
 * garble a random tail above the recovery point: then the log must be a prefix of the model that holds all below it.
 */
import { open } from 'node:fs/promises'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Log } from '../../src/log/index.ts'
import { batch, defaults, openLog, readAll, temporaryDirectory } from './support.ts'

type Step =
  | { kind: 'append'; counts: number[] }
  | { kind: 'read'; at: number; maxBytes: number }
  | { kind: 'flush' }
  | { kind: 'reopen'; clean: boolean }
  | { kind: 'tear'; lost: number; isGarbled: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      counts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      at: fc.nat(1000),
      maxBytes: fc.integer({ min: 1, max: 3000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const), clean: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('tear' as const),
      lost: fc.integer({ min: 1, max: 400 }),
      isGarbled: fc.boolean(),
    }),
  },
)

class Model {
  log!: Log
  values: string[] = []
  #made = 0
  readonly #directory: string
  readonly #settings: typeof defaults

  constructor(directory: string, segmentBytes: number, indexIntervalBytes: number) {
    this.#directory = directory
    this.#settings = { ...defaults, segmentBytes, indexIntervalBytes }
  }

  async open(cleanShutdown: boolean, recoveryPoint: number): Promise<void> {
    this.log = await openLog(this.#directory, { settings: this.#settings, cleanShutdown, recoveryPoint })
  }

  async run(one: Step): Promise<void> {
    switch (one.kind) {
      case 'append': {
        const appends = one.counts.map((count) => {
          const value = `value ${this.#made++}`
          const expected = this.values.length
          for (let index = 0; index < count; index++) this.values.push(value)
          return this.log
            .appendBatch(batch({ count, value }), 0)
            .then((result) => expect(result.baseOffset).toBe(expected))
        })
        await Promise.all(appends)
        return
      }
      case 'read': {
        const offset = one.at % (this.values.length + 1)
        const records = await readAll(this.log, offset, one.maxBytes)
        expect(records.map((record) => record.value)).toEqual(this.values.slice(offset))
        return
      }
      case 'flush':
        await this.log.flush()
        expect(this.log.recoveryPoint).toBe(this.values.length)
        return
      case 'reopen': {
        const { recoveryPoint } = this.log
        await this.log.close({ clean: one.clean })
        await this.open(one.clean, recoveryPoint)
        expect(this.log.logEndOffset).toBe(this.values.length)
        return
      }
      case 'tear':
        await this.#tear(one.lost, one.isGarbled)
    }
  }

  async #tear(lost: number, isGarbled: boolean): Promise<void> {
    const { recoveryPoint, logEndOffset, size } = this.log
    await this.log.close({ clean: false })
    if (logEndOffset > recoveryPoint) await this.#damageTail(lost, isGarbled, recoveryPoint)
    await this.open(false, recoveryPoint)
    expect(this.log.logEndOffset).toBeGreaterThanOrEqual(recoveryPoint)
    expect(this.log.size + this.log.recovery.bytesDropped).toBeLessThanOrEqual(size)
    this.values.length = this.log.logEndOffset
  }

  /** Only bytes of batches above the recovery point are lost or garbled: those below were synced. */
  async #damageTail(lost: number, isGarbled: boolean, recoveryPoint: number): Promise<void> {
    const probe = await openLog(this.#directory, { settings: this.#settings })
    const slice = await probe.slice(recoveryPoint, 1)
    const start = slice.regions[0]!
    const { path } = start.file
    const { position } = start
    start.release()
    await probe.close({ clean: false })
    const file = await open(path, 'r+')
    try {
      const { size } = await file.stat()
      const from = Math.max(position, size - lost)
      if (isGarbled) await file.write(new Uint8Array(size - from).fill(0xa5), 0, size - from, from)
      else await file.truncate(from)
    } finally {
      await file.close()
    }
  }
}

it('behaves as its model through appends, reads, reopening and torn tails', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.integer({ min: 500, max: 5000 }),
      fc.integer({ min: 0, max: 1000 }),
      async (steps, segmentBytes, indexIntervalBytes) => {
        const model = new Model(await temporaryDirectory(), segmentBytes, indexIntervalBytes)
        await model.open(false, 0)
        for (const one of steps) await model.run(one)
        expect((await readAll(model.log)).map((record) => record.value)).toEqual(model.values)
        await model.log.close()
      },
    ),
    { numRuns: 40 },
  )
})
