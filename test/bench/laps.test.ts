/** Laps over what is stored. */
import { expect, test } from 'vitest'
import { endOffsets, lapStart } from '../../bench/drivers/laps.ts'
import { Producer } from '../../src/client/index.ts'
import { startBroker } from '../../src/testing/index.ts'

test('no two partitions of a size come to their ends together', () => {
  const ends = [600, 600, 600, 600, 600, 600]
  expect(ends.map((_, partition) => lapStart(ends, partition))).toEqual([0, 100, 200, 300, 400, 500])
  expect(lapStart([0, 0], 1)).toBe(0)
})

test('the ends are the broker’s', async () => {
  const { bootstrap, close } = await startBroker({ settings: { numPartitions: 2 } })
  try {
    const producer = new Producer({ bootstrap })
    await producer.send({ topic: 'laps', partition: 1, value: 'one' })
    await producer.close()
    expect(await endOffsets({ bootstrap, topic: 'laps', partitions: 2 })).toEqual([0, 1])
  } finally {
    await close()
  }
})
