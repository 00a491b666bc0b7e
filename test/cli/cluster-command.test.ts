/** What the command says to what it cannot do; the clusters that it runs are in test/supervisor. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { clusterCommand } from '../../src/cli/cluster-command.ts'

let directory: string
let output: string
let errors: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-cc-'))
  output = ''
  errors = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errors += String(text)
    return true
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(directory, { recursive: true, force: true })
})

test.each([
  [['frobnicate'], 'unknown command frobnicate'],
  [['start', '--brokers', 'x'], '--brokers x: write a number'],
  [['start', '--port', '-1'], '--port'],
  [['start', '--set', 'nothing'], '--set nothing: write NAME=VALUE'],
  [['start', '--set', 'num.partitions=0'], 'num.partitions=0'],
  [['start', '--set', 'node.id=4'], 'the cluster gives each broker its own'],
  [['start', 'now'], 'what is now?'],
  [['start', '--wrong'], '--wrong'],
  [['status'], 'there is no cluster in'],
  [['stop'], 'there is no cluster in'],
])('%j: one clear line', async (args, text) => {
  expect(await clusterCommand([...args, '--dir', directory])).toBe(1)
  expect(errors).toContain(text)
  expect(errors.trim().split('\n')).toHaveLength(1)
  expect(output).toBe('')
})

test('tells its usage', async () => {
  expect(await clusterCommand(['--help'])).toBe(0)
  expect(output).toContain('pagelog cluster start [options]')
  output = ''
  expect(await clusterCommand([])).toBe(2)
  expect(output).toContain('pagelog cluster stop [options]')
})

test('says how a cluster is that does not run', async () => {
  const state = { host: '127.0.0.1', socketPath: '/nowhere', settings: {}, brokers: [{ id: 1, port: 9092 }] }
  await writeFile(join(directory, 'cluster.json'), JSON.stringify(state))
  expect(await clusterCommand(['status', '--dir', directory])).toBe(1)
  expect(output).toBe(
    `no supervisor runs in ${directory}: nobody serves the metadata (pagelog cluster start --dir ${directory})\n` +
      'broker 1  127.0.0.1:9092  not running\n',
  )
  output = ''
  expect(await clusterCommand(['status', '--json', '--dir', directory])).toBe(1)
  expect(JSON.parse(output)).toMatchObject({ well: false, brokers: [{ id: 1, registered: false }] })
  output = ''
  expect(await clusterCommand(['stop', '--dir', directory])).toBe(0)
  expect(output).toBe('pagelog: nothing is running\n')
})
