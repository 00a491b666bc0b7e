import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { replicaSizes, untilEqual } from '../../bench/measure/replicas.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-replicas-test-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function replicasOf(topic: string, sizes: readonly (readonly number[])[]): string[] {
  return sizes.map((partitions, broker) => {
    const place = join(directory, `${topic}-of-${broker}`)
    for (const [partition, bytes] of partitions.entries()) {
      const folder = join(place, `${topic}-${partition}`)
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, '00000000000000000000.log'), new Uint8Array(bytes))
      writeFileSync(join(folder, '00000000000000000000.index'), new Uint8Array(1000))
    }
    return place
  })
}

test('the lag is that of the replica furthest behind, of all partitions together, of segments only', () => {
  const places = replicasOf('a', [
    [100, 50],
    [90, 60],
    [70, 60],
  ])
  expect(replicaSizes(places, 'a')).toEqual({ lagBytes: 30, bytes: 430 })
})

test('a replica that has nothing yet lacks everything', () => {
  const places = replicasOf('b', [[100], [100]])
  expect(replicaSizes([...places, directory], 'b').lagBytes).toBe(100)
})

test('equal is waited for', async () => {
  const places = replicasOf('c', [[100], [60]])
  const behind = join(places[1]!, 'c-0', '00000000000000000000.log')
  const equal = untilEqual(places, 'c', 60_000)
  appendFileSync(behind, new Uint8Array(40))
  expect(await equal).toBeGreaterThanOrEqual(0)
  expect(replicaSizes(places, 'c').lagBytes).toBe(0)
})

test('replicas that stay apart are an error', async () => {
  const places = replicasOf('d', [[100], [60]])
  await expect(untilEqual(places, 'd', 20)).rejects.toThrow('40 bytes behind')
})
