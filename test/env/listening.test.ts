import { expect, test, vi } from 'vitest'
import { NodeNetwork } from '../../src/env/node/network.ts'

const { acceptUnpaced } = vi.hoisted(() => ({ acceptUnpaced: vi.fn<(listenerFd: number) => void>() }))
vi.mock('../../src/native/index.ts', async (original) => ({
  ...(await original<object>()),
  fileCalls: { acceptUnpaced },
}))

test.each([
  ['127.0.0.1', 1],
  ['localhost', 1],
  ['0.0.0.0', 0],
])('what is accepted at %s is paced unless only this machine can connect', async (host, calls) => {
  acceptUnpaced.mockClear()
  const listener = await new NodeNetwork().listen({ host, port: 0 }, () => {})
  expect(acceptUnpaced).toHaveBeenCalledTimes(calls)
  for (const [listenerFd] of acceptUnpaced.mock.calls) expect(listenerFd).toBeGreaterThan(2)
  await listener.close()
})
