/** What a directory does by itself, at intervals. */
import { describe, expect, it } from 'vitest'
import { defaultsOf, silentLogger } from '../../src/base/index.ts'
import { memoryDisk } from '../../src/env/memory/index.ts'
import { VirtualClock } from '../../src/env/simulated/index.ts'
import { DirectoryUpkeep, type ExpiringLog } from '../../src/log/directory-upkeep.ts'
import { LogDirectory, logDirectorySettings } from '../../src/log/index.ts'
import { ProducerState } from '../../src/log/producer-state.ts'
import { machineOn } from './compaction-support.ts'
import { batch, defaults, FailingDisk } from './support.ts'

function producers(count: number, timestampMs: number): ProducerState {
  const entry = { producerEpoch: 0, lastSequence: 0, offsetDelta: 0, coordinatorEpoch: -1, transactionFirstOffset: -1 }
  return ProducerState.of(
    Array.from({ length: count }, (_, producerId) => ({ ...entry, producerId, lastOffset: producerId, timestampMs })),
  )
}

class CountingClock extends VirtualClock {
  turns = 0
  override soon(callback: () => void): void {
    this.turns++
    super.soon(callback)
  }
}

describe('idle producers', () => {
  function upkeepOf(states: readonly ProducerState[], clock: CountingClock, isOver = () => false): DirectoryUpkeep {
    const settings = { ...defaultsOf(logDirectorySettings), producerIdExpirationMs: 1000 }
    const logs = states.map((state): ExpiringLog => ({ expiringProducers: (ms) => state.expiringBefore(ms) }))
    const nothing = async (): Promise<void> => {}
    const parts = { checkpoint: nothing, applyRetention: nothing, isOver, onFailure: () => {} }
    return new DirectoryUpkeep({ clock, logger: silentLogger, path: '/data', settings, logs: () => logs, ...parts })
  }

  it('of many logs, or many of one, are forgotten in parts, between which others have their turn', async () => {
    const clock = new CountingClock()
    const long = clock.nowMs() - 2000
    const many = Array.from({ length: 10_000 }, () => producers(1, long))
    await upkeepOf(many, clock).expireProducers()
    expect(many.every(({ size }) => size === 0)).toBe(true)
    expect(clock.turns).toBeGreaterThanOrEqual(5)
    const one = producers(20_000, long)
    clock.turns = 0
    await upkeepOf([one], clock).expireProducers()
    expect(one.size).toBe(0)
    expect(clock.turns).toBeGreaterThanOrEqual(8)
  })

  it('that came back in the meantime stay, and nothing is done when the directory closes', async () => {
    const clock = new CountingClock()
    const state = producers(10_000, clock.nowMs() - 2000)
    let isOver = false
    const expiring = upkeepOf([state], clock, () => isOver).expireProducers()
    expect(state.size).toBeLessThan(10_000)
    state.become(producers(3, clock.nowMs() - 2000))
    isOver = true
    await expiring
    expect(state.size).toBe(3)
  })

  it('are forgotten by themselves', async () => {
    const machine = machineOn(memoryDisk())
    const settings = { producerIdExpirationMs: 30_000 }
    const directory = await LogDirectory.open({ env: machine, path: '/data', defaults, settings })
    const log = await directory.create('t', 0)
    const { clock } = machine
    await log.appendBatch(batch({ producerId: 1, producerEpoch: 0, baseSequence: 0, timestampMs: clock.nowMs() }), 0)
    expect(log.producerCount).toBe(1)
    clock.advance(61_000)
    while (log.producerCount > 0) await new Promise(setImmediate)
    await directory.close()
  })
})

describe('checkpoints', () => {
  it('are written every log.flush.offset.checkpoint.interval.ms', async () => {
    const failing = new FailingDisk(memoryDisk())
    const machine = { ...machineOn(failing.disk), disk: failing.disk }
    const settings = { flushOffsetCheckpointIntervalMs: 5000 }
    const directory = await LogDirectory.open({ env: machine, path: '/data', defaults, settings })
    const log = await directory.create('t', 0)
    await log.appendBatch(batch(), 0)
    await log.flush()
    const said = async (): Promise<string> => {
      const content = await failing.disk.readFile('/data/recovery-point-offset-checkpoint')
      return new TextDecoder().decode(content)
    }
    machine.clock.advance(4999)
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    expect(await said()).toBe('0\n0\n')
    machine.clock.advance(1)
    while ((await said()) !== '0\n1\nt 0 1\n') await new Promise(setImmediate)
    await directory.close()
  })
})
