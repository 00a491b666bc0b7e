import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startBroker } from '../../src/testing/index.ts'

test('a test broker listens on the loopback address and leaves nothing behind', async () => {
  const { bootstrap, broker, directory, close } = await startBroker()
  expect(bootstrap).toBe(`127.0.0.1:${broker.port}`)
  expect(broker.port).toBeGreaterThan(0)
  expect(existsSync(directory)).toBe(true)
  await close()
  expect(existsSync(directory)).toBe(false)
})

test('a folder that was given is kept', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pagelog-kept-'))
  await (await startBroker({ directory })).close()
  expect(await readdir(directory)).toContain('pagelog-metadata.journal')
  await rm(directory, { recursive: true })
})

test('brokers live side by side', async () => {
  const [a, b] = await Promise.all([startBroker(), startBroker()])
  expect(a.bootstrap).not.toBe(b.bootstrap)
  expect(a.broker.clusterId).not.toBe(b.broker.clusterId)
  await Promise.all([a.close(), b.close()])
})

test('a start that fails says why and removes its folder', async () => {
  const before = new Set(await readdir(tmpdir()))
  await expect(startBroker({ settings: { numPartitions: 0 } })).rejects.toMatchObject({
    code: 'PAGELOG_INVALID_SETTING',
  })
  const left = (await readdir(tmpdir())).filter((name) => /^pagelog-[A-Za-z0-9]{6}$/.test(name) && !before.has(name))
  expect(left.filter((name) => !before.has(name))).toEqual([])
})
