/** Hosts behind proxies keep the contract, without root; and what is true of proxies only. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { runToEnd } from '../../../bench/process/children.ts'
import { makeHosts } from './hosts.ts'
import { holdsContract } from './hosts-contract.ts'

if (process.platform === 'linux') holdsContract('proxy')

test('no host has an address of another, of another cluster neither', async () => {
  const clusters = [makeHosts(['a', 'b'], 'proxy'), makeHosts(['a', 'b'], 'proxy')]
  const addresses = clusters.flatMap((hosts) => ['a', 'b'].map((name) => hosts.address(name)))
  expect(new Set(addresses).size).toBe(4)
  expect(addresses).not.toContain('127.0.0.1')
  expect(() => clusters[0]!.address('c')).toThrow('there is no host c')
  expect(() => clusters[0]!.cut('a', 'c')).toThrow('there is no host c')
  for (const hosts of clusters) hosts.close()
})

// As brokers ask etcd.
const ASK = `
  const { Agent, get } = require('node:http')
  get(process.argv[1], { agent: new Agent({ keepAlive: true, timeout: 5000 }) }, (answer) => {
    answer.pipe(process.stdout)
    answer.on('end', () => process.exit())
  })`

if (process.platform === 'linux') {
  test('HTTP comes from the address of the host that asks, too', async () => {
    const hosts = makeHosts(['a'], 'proxy')
    const server = createServer((request, response) => response.end(request.socket.remoteAddress)).listen(
      0,
      '127.0.0.1',
    )
    try {
      await once(server, 'listening')
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/where`
      const [command = '', ...args] = [...hosts.prefix('a'), process.execPath, '-e', ASK, url]
      expect(await runToEnd('a request', { command, args })).toBe(hosts.address('a'))
    } finally {
      server.close()
      hosts.close()
    }
  })
}
