/** Network namespaces: what is made, shaped and removed; where they cannot be had, that this is said. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  canHaveNamespaces,
  checkRate,
  hubEnvironment,
  isShaped,
  makeHub,
  namesWith,
  placementHere,
  removeNamespaces,
  sweepNamespaces,
} from '../../../bench/netns/namespaces.ts'
import { loopback } from '../../../bench/netns/placement.ts'
import { readHosts, UsageError } from '../../../bench/options.ts'
import { packageRoot } from '../../../bench/process/package-root.ts'

const available = canHaveNamespaces()
/** A process id that no process has: they end at 4,194,304. */
const NOBODY = 4_999_999

describe('without namespaces', () => {
  test('everything is on loopback', () => {
    expect(placementHere()).toBe(loopback)
    expect(loopback.broker(0).wrap('node', ['x'])).toEqual({ command: 'node', args: ['x'] })
  })

  test.each(['', 'fast', '1gbps', 'gbit', '-1gbit'])('a rate of %j is refused', (rate) => {
    expect(() => checkRate(rate)).toThrow(UsageError)
  })

  test('which places have links that are shaped, so that these are the limit', () => {
    expect(['1gbit', '100mbit', '2.5gbit'].filter(isShaped)).toHaveLength(3)
    expect(['loopback', 'unshaped', 'hosts'].filter(isShaped)).toEqual([])
  })

  test('the command refuses such a rate with status 2, and leaves nothing', () => {
    const bin = join(packageRoot, 'bin/pagelog.cjs')
    const { status, stderr } = spawnSync(process.execPath, [bin, 'bench', 'load', '--netns', 'fast'], {
      encoding: 'utf8',
    })
    expect(status).toBe(2)
    expect(stderr).toContain('--netns fast')
  })
})

describe.runIf(available)('namespaces', () => {
  test('a hub and two places that reach each other over shaped links; nothing is left', () => {
    const hub = makeHub('100mbit')
    try {
      process.env.PAGELOG_BENCH_HUB = Object.values(hubEnvironment(hub))[0]
      const script = `
        const { placementHere } = await import('${join(packageRoot, 'dist/bench/netns/namespaces.js')}')
        const broker = placementHere().broker(0), client = placementHere().client(3)
        console.log(JSON.stringify([placementHere().name, broker.host, client.host, client.wrap('true', [])]))`
      const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
      const [name, brokerHost, clientHost, wrapped] = JSON.parse(said)
      expect([name, brokerHost, clientHost]).toEqual(['100mbit', '10.213.0.10', '10.213.0.103'])
      expect(wrapped).toMatchObject({ command: 'ip', args: expect.arrayContaining(['netns', 'exec', 'true']) })
      const show = (namespace: string, device: string) =>
        execFileSync('tc', ['-n', namespace, 'qdisc', 'show', 'dev', device], { encoding: 'utf8' })
      expect(show(`${hub.prefix}b0`, 'eth0')).toMatch(/tbf .*rate 100Mbit/)
      expect(show(hub.name, 'c3')).toMatch(/tbf .*rate 100Mbit/)
      expect(namesWith(hub.prefix)).toHaveLength(3)
    } finally {
      delete process.env.PAGELOG_BENCH_HUB
      removeNamespaces(hub.prefix)
    }
    expect(namesWith(hub.prefix)).toEqual([])
  }, 60_000)

  test('what a harness that is gone has left is removed; what one that lives has is not', () => {
    const left = `pagelog-bench-${NOBODY}-77-hub`
    const hub = makeHub('unshaped')
    try {
      execFileSync('ip', ['netns', 'add', left])
      sweepNamespaces()
      expect(namesWith(left)).toEqual([])
      expect(namesWith(hub.prefix)).toEqual([hub.name])
    } finally {
      removeNamespaces(hub.prefix)
    }
  }, 60_000)
})

describe('hosts', () => {
  test('come from a file; what is no address is refused', () => {
    const directory = mkdtempSync(join(tmpdir(), 'pagelog-hosts-test-'))
    try {
      const path = join(directory, 'hosts')
      writeFileSync(path, '# three machines\nten.example:9092\n\neleven.example:9093 # the second\n')
      expect(readHosts(path)).toBe('ten.example:9092,eleven.example:9093')
      writeFileSync(path, 'ten.example\n')
      expect(() => readHosts(path)).toThrow('ten.example is not host:port')
      writeFileSync(path, '# nobody\n')
      expect(() => readHosts(path)).toThrow('no host')
      expect(() => readHosts(join(directory, 'none'))).toThrow(UsageError)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
