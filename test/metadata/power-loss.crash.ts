/**
 * The power goes, or the process ends, before every single step of a scripted life of the embedded store: what was
 * answered is there, what is there is the whole of some revision, and nothing keeps it from being opened (L1, D5). The
 * script has transactions that are written together, leases, and compactions of the journal.
 */
import { describe, expect, test } from 'vitest'
import { LyingDisk, VirtualClock } from '../../src/env/simulated/index.ts'
import { EmbeddedMetadata, type KeyValue } from '../../src/metadata/index.ts'
import { put } from './stores.ts'

const ROUNDS = 12

class Life {
  readonly machine: LyingDisk
  readonly clock = new VirtualClock()
  /** The last revision that was answered. */
  answered = 0
  readonly granted = new Set<string>()
  /** Asked to end; whether it has is not known. */
  readonly ending = new Set<string>()

  constructor(seed: number) {
    this.machine = new LyingDisk({ seed, clock: this.clock })
  }

  open(): Promise<EmbeddedMetadata> {
    const { machine, clock } = this
    return EmbeddedMetadata.open({ disk: machine.disk, clock, path: '/m/journal', compactAboveBytes: 600 })
  }

  async run(): Promise<void> {
    await this.machine.disk.makeDirectory('/m')
    await this.machine.disk.syncDirectory('/')
    let store = await this.open()
    for (let round = 0; round < ROUNDS; round++) {
      const { id } = await store.grantLease(60_000)
      this.granted.add(id)
      const results = await Promise.all(
        [0, 1, 2].map((n) => store.transact([], [put(`k${n}`, `${round}`), put(`l${round}`, `${n}`, id)])),
      )
      this.answered = Math.max(this.answered, ...results.map(({ revision }) => revision))
      if (round % 3 === 0) {
        this.ending.add(id)
        await store.revokeLease(id)
        this.answered++
        this.granted.delete(id)
      }
      if (round === ROUNDS / 2) {
        await store.close()
        store = await this.open()
      }
    }
    await store.close()
  }
}

/** Without faults, one call at a time: what every revision is. */
async function expected(): Promise<{ steps: number; states: ReadonlyMap<number, readonly KeyValue[]> }> {
  const life = new Life(1)
  await life.run()
  const serial = new Map<number, readonly KeyValue[]>([[0, []]])
  const clock = new VirtualClock()
  const { disk } = new LyingDisk({ seed: 1, clock })
  await disk.makeDirectory('/m')
  const store = await EmbeddedMetadata.open({ disk, clock, path: '/m/journal' })
  const note = async (): Promise<void> => {
    const { pairs, revision } = await store.range('')
    serial.set(revision, pairs)
  }
  for (let round = 0; round < ROUNDS; round++) {
    const { id } = await store.grantLease(60_000)
    for (const n of [0, 1, 2]) {
      await store.transact([], [put(`k${n}`, `${round}`), put(`l${round}`, `${n}`, id)])
      await note()
    }
    if (round % 3 === 0) await store.revokeLease(id)
    await note()
  }
  await store.close()
  return { steps: life.machine.steps, states: serial }
}

async function check(life: Life, states: ReadonlyMap<number, readonly KeyValue[]>): Promise<void> {
  const store = await life.open()
  const { pairs, revision } = await store.range('')
  expect(revision).toBeGreaterThanOrEqual(life.answered)
  expect(pairs).toEqual(states.get(revision))
  for (const id of life.granted) {
    if (!life.ending.has(id)) expect(await store.keepAlive(id)).toBe(60_000)
  }
  const { id } = await store.grantLease(60_000)
  expect(life.granted.has(id)).toBe(false)
  expect(await store.transact([], [put('new', '', id)])).toEqual({ succeeded: true, revision: revision + 1 })
  await store.close()
  const again = await life.open()
  expect((await again.range('')).revision).toBe(revision + 1)
  await again.close()
}

describe.each(['crash', 'kill'] as const)('a %s at any step', (how) => {
  test('loses nothing that was answered and keeps nothing from opening', async () => {
    const { steps, states } = await expected()
    expect(steps).toBeGreaterThan(40)
    for (let step = 1; step <= steps; step++) {
      for (const seed of [step, step + 1000]) {
        const life = new Life(seed)
        life.machine.stopAt(step)
        await life.run().catch(() => {})
        life.machine[how]()
        // A directory that was not there yet is made by whoever opens.
        await life.machine.disk.makeDirectory('/m')
        await check(life, states).catch((cause: unknown) => {
          throw new Error(`${how} before step ${step}, seed ${seed}`, { cause })
        })
      }
    }
  }, 60_000)
})
