/** `pagelog cluster` as a user starts it: real processes, killed without mercy. */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/index.ts'
import { isProcessAlive, nodeEnv, type ProcessMark } from '../../src/env/index.ts'
import { CreateTopics, Metadata } from '../../src/protocol/index.ts'
import { type ClusterState, type ClusterStatus, clusterStatus } from '../../src/supervisor/index.ts'
import { RawClient } from '../broker/raw-client.ts'

const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))
const env = nodeEnv()
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-cl-'))
})
afterEach(async () => {
  if (existsSync(join(directory, 'cluster.json'))) await run('stop')
  await rm(directory, { recursive: true, force: true })
})

interface Run {
  readonly status: number
  readonly output: string
  readonly errors: string
}

function run(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    const [command, ...rest] = args
    const all = [launcher, 'cluster', command!, '--dir', directory, ...rest]
    execFile(process.execPath, all, (error, output, errors) => {
      resolve({ status: error ? Number(error.code) : 0, output, errors })
    })
  })
}

interface Started {
  readonly pid: number
  readonly events: { readonly event: string; readonly broker: number; readonly pid: number }[]
  readonly bootstrap: string
  readonly ended: Promise<unknown>
}

function start(...args: string[]): Promise<Started> {
  const all = [launcher, 'cluster', 'start', '--dir', directory, '--port', '0', '--json', ...args]
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stderr.on('data', (text: Buffer) => {
    errors += text.toString()
  })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  const events: Started['events'] = []
  return new Promise((resolve, reject) => {
    void ended.then((status) => reject(new Error(`the supervisor ended with ${String(status)}: ${errors}`)))
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString()
      const lines = output.split('\n')
      output = lines.pop()!
      for (const line of lines) {
        const event = JSON.parse(line) as Started['events'][number] & { readonly bootstrap: string }
        events.push(event)
        if (event.event === 'ready') resolve({ pid: child.pid!, events, bootstrap: event.bootstrap, ended })
      }
    })
  })
}

/** As `pagelog cluster status` sees it, without a process for each look. */
function status(): Promise<ClusterStatus> {
  return clusterStatus({ env, processes: { isAlive: isProcessAlive }, logger: silentLogger, directory })
}

const isWell = ({ supervisor, brokers }: ClusterStatus): boolean =>
  supervisor !== undefined && brokers.every(({ registered, pid }) => registered && pid !== undefined)

async function until<T>(look: () => Promise<T>, fits: (found: T) => boolean): Promise<T> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const found = await look()
    if (fits(found)) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('that did not come true')
}

const pids = ({ brokers }: ClusterStatus): (number | undefined)[] => brokers.map(({ pid }) => pid)

test('a cluster starts, survives the death of a broker and of its supervisor, and stops', {
  timeout: 120_000,
}, async () => {
  const first = await start('--brokers', '2')
  const before = await status()
  expect([isWell(before), before.supervisor]).toEqual([true, first.pid])
  expect(JSON.parse((await run('status', '--json')).output)).toMatchObject({ well: true, supervisor: first.pid })

  // Clients see all of it, whomever they ask.
  for (const [i, address] of first.bootstrap.split(',').entries()) {
    const client = await RawClient.connect(address)
    const wish = { name: `topic-${i}`, numPartitions: 20, replicationFactor: 2, assignments: [], configs: [] }
    const { topics } = await client.ask(CreateTopics, 7, { topics: [wish], timeoutMs: 60_000 })
    expect(topics[0]!.errorCode).toBe(0)
    const { brokers } = await client.ask(Metadata, 9, { topics: [] })
    expect(brokers.map(({ host, port }) => `${host}:${port}`).join()).toBe(first.bootstrap)
    await client.close()
  }

  process.kill(before.brokers[0]!.pid!, 'SIGKILL')
  const healed = await until(status, (now) => isWell(now) && now.brokers[0]!.pid !== before.brokers[0]!.pid)
  expect(pids(healed)[1]).toBe(pids(before)[1])
  expect(healed.brokers.map(({ port }) => port)).toEqual(before.brokers.map(({ port }) => port))

  process.kill(first.pid, 'SIGKILL')
  await first.ended
  const alone = await status()
  expect(alone.supervisor).toBeUndefined()
  expect(pids(alone)).toEqual(pids(healed))

  const second = await start()
  expect(
    second.events
      .filter(({ event }) => event === 'adopted')
      .map(({ pid }) => pid)
      .sort(),
  ).toEqual(pids(healed).sort())
  expect(second.events.some(({ event }) => event === 'starting')).toBe(false)
  const adopted = await until(status, isWell)
  // Nothing that was agreed on is lost with the supervisor.
  expect([adopted.topics, adopted.partitions, adopted.withoutLeader]).toEqual([2, 40, 0])
  // A death of a broker that is not its child is seen too.
  process.kill(adopted.brokers[1]!.pid!, 'SIGKILL')
  await until(status, (now) => isWell(now) && now.brokers[1]!.pid !== adopted.brokers[1]!.pid)

  const twice = await run('start')
  expect(twice).toMatchObject({ status: 1, output: '' })
  expect(twice.errors).toMatch(/^pagelog: the cluster in .* has a supervisor already/)

  expect(await run('stop')).toMatchObject({ status: 0, output: 'pagelog: the cluster is stopped\n' })
  await second.ended
  expect(pids(await status())).toEqual([undefined, undefined])
  expect(await run('stop')).toMatchObject({ status: 0, output: 'pagelog: nothing is running\n' })
})

test('brokers whose supervisor is gone are stopped without it', { timeout: 60_000 }, async () => {
  const { pid, ended } = await start('--brokers', '1')
  process.kill(pid, 'SIGKILL')
  await ended
  const state = JSON.parse(await readFile(join(directory, 'cluster.json'), 'utf8')) as ClusterState
  const mark: ProcessMark = state.brokers[0]!.process!
  expect(await isProcessAlive(mark)).toBe(true)
  expect(await run('stop')).toMatchObject({ status: 0 })
  expect(await isProcessAlive(mark)).toBe(false)
})

describe('what cannot be started', () => {
  test("a port that is taken: the broker's own words, and nothing left running", { timeout: 60_000 }, async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const result = await run('start', '--brokers', '1', '--port', String(port))
    expect(result.status).toBe(1)
    expect(result.errors).toMatch(/^pagelog: broker 1 ended with status 1 before it served: .*cannot listen/)
    expect(result.errors.trim().split('\n')).toHaveLength(1)
    server.close()
  })

  test('a log directory of another cluster: refused, and left as it is', { timeout: 60_000 }, async () => {
    const properties = 'version=1\ncluster.id=another\nnode.id=1\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\n'
    const path = join(directory, 'broker-1', 'meta.properties')
    await mkdir(join(directory, 'broker-1'))
    await writeFile(path, properties)
    const result = await run('start', '--brokers', '1', '--port', '0')
    expect(result.status).toBe(1)
    expect(result.errors).toMatch(/belongs to cluster another, but the metadata at socket:.* is empty/)
    expect(result.errors.trim().split('\n')).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(properties)
  })
})
