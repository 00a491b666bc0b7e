/** Whatever sequence of passing faults a broker shows, an idempotent producer loses, doubles and reorders nothing. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ErrorCode } from '../../src/base/index.ts'
import { Consumer, Producer } from '../../src/client/index.ts'
import { Fetch, Produce } from '../../src/protocol/index.ts'
import { FakeBroker, type Fault } from './fake-broker.ts'

const faults: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Fault>({ kind: 'none' }) },
  fc.constantFrom<Fault>(
    { kind: 'disconnect' },
    { kind: 'lose answer' },
    { error: ErrorCode.NOT_LEADER_OR_FOLLOWER },
    { error: ErrorCode.NOT_ENOUGH_REPLICAS },
    { error: ErrorCode.REQUEST_TIMED_OUT },
    { error: ErrorCode.KAFKA_STORAGE_ERROR },
  ),
)
const quick = { retryBackoffMs: 1, retryBackoffMaxMs: 3, reconnectBackoffMs: 1, reconnectBackoffMaxMs: 3 }

test('all records arrive once, in order, and are read once, in order', async () => {
  const scripts = fc.record({
    produce: fc.array(faults, { maxLength: 25 }),
    fetch: fc.array(faults, { maxLength: 10 }),
    maxInFlight: fc.integer({ min: 1, max: 5 }),
    moves: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 }),
  })
  await fc.assert(
    fc.asyncProperty(scripts, async ({ produce, fetch, maxInFlight, moves }) => {
      const broker = await FakeBroker.start(2)
      broker.addTopic('t', 2)
      broker.inject(Produce, ...produce)
      broker.inject(Fetch, ...fetch)
      await using producer = new Producer({
        bootstrap: broker.bootstrap,
        ...quick,
        lingerMs: 0,
        batchBytes: 200,
        maxInFlight,
      })
      await using consumer = new Consumer({ bootstrap: broker.bootstrap, ...quick, fetchMaxWaitMs: 5 })
      consumer.assign([0, 1].map((partition) => ({ topic: 't', partition, offset: 0 })))
      const count = 120
      for (let record = 0; record < count; record++) {
        producer.send({ topic: 't', value: String(record), partition: record % 2 })
        if (record % 30 === 29) {
          const to = moves.pop()
          if (to !== undefined) broker.moveLeader('t', 0, to)
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      await producer.flush()
      const read: string[][] = [[], []]
      while (read[0]!.length + read[1]!.length < count) {
        const batch = (await consumer.nextBatch())!
        for (const { value } of batch) read[batch.partition]!.push(new TextDecoder().decode(value!))
      }
      for (const partition of [0, 1]) {
        const wanted = Array.from({ length: count / 2 }, (_, at) => String(2 * at + partition))
        expect(broker.partition('t', partition).values()).toEqual(wanted)
        expect(read[partition]).toEqual(wanted)
      }
      await broker.close()
    }),
    { numRuns: 40, interruptAfterTimeLimit: 8_000 },
  )
})
