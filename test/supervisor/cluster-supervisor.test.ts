/** The supervisor with its real store and socket, and brokers that are no processes but register like them. */
import { appendFile, cp, mkdir, mkdtemp, open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLogger } from '../../src/base/index.ts'
import { nodeEnv, type ProcessMark } from '../../src/env/index.ts'
import { lyingDisk, VirtualClock } from '../../src/env/simulated/index.ts'
import { connectMetadata, type EtcdMetadata } from '../../src/metadata/index.ts'
import {
  BROKER_LOG_BYTES_MAX,
  boundLog,
  brokerLogFile,
  type ClusterEvent,
  ClusterSupervisor,
  clusterStatus,
  lastLineOf,
  readClusterState,
  type SupervisorOptions,
} from '../../src/supervisor/index.ts'
import { type FakeProcess, FakeProcesses, SUPERVISOR } from './fake-processes.ts'

const env = nodeEnv()
const NEVER_MS = 600_000
let directory: string
let processes: FakeProcesses
let events: ClusterEvent[]
let failures: string[]
let supervisors: ClusterSupervisor[]
let stores: EtcdMetadata[]

/** As a broker marks its log directory. */
async function lockAs({ pid, startTicks }: ProcessMark, folder: string): Promise<void> {
  const { dev, ino } = await stat(folder)
  await writeFile(join(folder, '.lock'), `${pid} ${startTicks} ${dev}:${ino}\n`)
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-sv-'))
  processes = new FakeProcesses()
  processes.onStart = registering
  events = []
  failures = []
  supervisors = []
  stores = []
})
afterEach(async () => {
  await Promise.all(stores.map((store) => store.close()))
  for (const supervisor of supervisors) await supervisor.stop()
  await rm(directory, { recursive: true, force: true })
})

function optionOf(command: readonly string[], option: string): string {
  return command[command.indexOf(option) + 1]!
}

/** Some do not come so far before the test is over. */
function registering(process: FakeProcess): void {
  if (process.command.includes('broker')) register(process).catch(() => {})
}

/** As a broker does, with a session that no test waits for. */
async function register({ command, mark }: FakeProcess): Promise<void> {
  const socketPath = optionOf(command, '--metadata').replace('socket:', '')
  const id = Number(command.find((one) => one.startsWith('node.id='))!.slice('node.id='.length))
  const store = await connectMetadata({ ...env, endpoints: [{ socketPath }], root: '' })
  stores.push(store)
  const { id: lease } = await store.grantLease(NEVER_MS)
  const port = Number(optionOf(command, '--port')) || 40_000 + id
  const value = JSON.stringify({ id, host: '127.0.0.1', port, rack: '', pid: mark.pid, lease })
  await store.transact([], [{ type: 'put', key: `brokers/${id}`, value, lease }])
}

async function start(more: Partial<SupervisorOptions> = {}): Promise<ClusterSupervisor> {
  const supervisor = await ClusterSupervisor.start({
    env,
    processes,
    logger: silentLogger,
    directory,
    socketPath: join(directory, 's.sock'),
    brokers: undefined,
    host: '127.0.0.1',
    port: 0,
    settings: {},
    launcher: ['node', 'pagelog'],
    self: SUPERVISOR,
    report: (event) => events.push(event),
    failed: (error) => failures.push(error.code),
    ...more,
  })
  supervisors.push(supervisor)
  return supervisor
}

const told = (kind: ClusterEvent['event']): number[] =>
  events.filter(({ event }) => event === kind).map(({ broker }) => broker)

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('that did not come true')
}

describe('starting', () => {
  test('brokers that are reached at hosts of their own are told so, also when they are started again', async () => {
    const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
    const supervisor = await start({ hosts })
    const bootstrap = '127.0.0.1:40001,127.0.0.2:40002,127.0.0.3:40003'
    expect(supervisor.bootstrap).toBe(bootstrap)
    expect(processes.started.map(({ command }) => optionOf(command, '--host')).sort()).toEqual(hosts)
    await supervisor.stop()
    expect((await start()).bootstrap).toBe(bootstrap)
  })

  test('is done when all brokers are registered; their ports are remembered', async () => {
    const supervisor = await start()
    expect(told('up').sort()).toEqual([1, 2, 3])
    expect(supervisor.bootstrap).toBe('127.0.0.1:40001,127.0.0.1:40002,127.0.0.1:40003')
    const { command } = processes.started[0]!
    expect(command.slice(0, 3)).toEqual(['node', 'pagelog', 'broker'])
    expect(command).toContain('default.replication.factor=3')
    expect(command).toContain('min.insync.replicas=2')
    const state = await readClusterState(env.disk, directory)
    expect(state!.brokers.map(({ port, process }) => [port, process?.pid !== undefined])).toEqual([
      [40001, true],
      [40002, true],
      [40003, true],
    ])
  })

  test('in a copy of a folder leaves the processes of the original alone', async () => {
    await start({ brokers: 2, port: 9100 })
    for (const [i, { mark }] of processes.alive.entries()) {
      await mkdir(join(directory, `broker-${i + 1}`))
      await lockAs(mark, join(directory, `broker-${i + 1}`))
    }
    const copy = `${directory}-copy`
    try {
      await cp(directory, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') })
      const status = () => clusterStatus({ env, processes, logger: silentLogger, directory: copy })
      expect(await status()).toMatchObject({ supervisor: undefined, brokers: [{ pid: undefined }, { pid: undefined }] })
      const second = await start({ directory: copy, socketPath: join(copy, 's.sock') })
      expect(told('adopted')).toEqual([])
      expect(told('starting').sort()).toEqual([1, 1, 2, 2])
      expect(processes.started[2]!.command).toContain(`socket:${copy}/s.sock`)
      await second.stop()
      expect(processes.started.map(({ signals }) => signals)).toEqual([[], [], ['SIGTERM'], ['SIGTERM']])
      // Another folder, and known by now: its files name nobody of the original's.
      expect((await status()).brokers.map(({ pid }) => pid)).toEqual([undefined, undefined])
    } finally {
      await rm(copy, { recursive: true, force: true })
    }
  })

  test('in a folder that was moved serves the metadata where the folder is now', async () => {
    await (
      await start({ brokers: 1, directory: join(directory, 'old'), socketPath: join(directory, 'old', 's') })
    ).stop()
    await rename(join(directory, 'old'), join(directory, 'new'))
    await start({ directory: join(directory, 'new'), socketPath: join(directory, 'new', 's') })
    expect(processes.started.map(({ command }) => optionOf(command, '--metadata'))).toEqual([
      `socket:${directory}/old/s`,
      `socket:${directory}/new/s`,
    ])
  })

  test('gives brokers the ports and settings that were asked for', async () => {
    await start({ brokers: 2, port: 9100, settings: { 'num.partitions': '4' } })
    expect(processes.started.map(({ command }) => optionOf(command, '--port')).sort()).toEqual(['9100', '9101'])
    expect(processes.started[0]!.command).toContain('num.partitions=4')
    expect(processes.started[0]!.command).toContain('default.replication.factor=2')
  })

  test('again is as before, and may add brokers but not take some away', async () => {
    await (await start({ brokers: 2, settings: { 'num.partitions': '4' } })).stop()
    await expect(start({ brokers: 1 })).rejects.toThrow('has 2 brokers; it can be given more, not fewer')
    await start({ brokers: 3 })
    expect(processes.started.slice(2)).toHaveLength(3)
    expect(processes.started.at(-1)!.command).toContain('num.partitions=4')
    expect(processes.started.slice(2).map(({ command }) => optionOf(command, '--port'))).toContain('40001')
  })

  test('a second time at the same time is refused', async () => {
    await start({ brokers: 1 })
    await expect(start({ brokers: 1 })).rejects.toMatchObject({
      code: 'PAGELOG_LOCKED',
      message: expect.stringContaining('has a supervisor already') as string,
    })
    expect(processes.started).toHaveLength(1)
  })

  test('fails with what the broker said that could not start, and leaves nothing running', async () => {
    processes.onStart = (process) => {
      if (process.command.includes('node.id=2')) {
        void writeFile(join(directory, 'broker-2.log'), 'first line\npagelog: the port is taken\n').then(() =>
          process.end('status 1'),
        )
      } else registering(process)
    }
    await expect(start()).rejects.toMatchObject({
      code: 'PAGELOG_ABORTED',
      message: 'broker 2 ended with status 1 before it served: pagelog: the port is taken',
    })
    expect(processes.alive).toEqual([])
    processes.onStart = registering
    await start()
  })

  test.each([0, 101, 1.5])('%d brokers are refused', async (brokers) => {
    await expect(start({ brokers })).rejects.toMatchObject({ code: 'PAGELOG_INVALID_ARGUMENT' })
  })

  test('a damaged state is refused by name', async () => {
    await writeFile(join(directory, 'cluster.json'), '{"brokers":')
    await expect(start()).rejects.toThrow(join(directory, 'cluster.json'))
  })
})

test('a journal that fails is told once, and no broker is touched', async () => {
  const machine = lyingDisk({ seed: 1 })
  await start({ env: { ...env, disk: machine.disk }, directory: '/cluster', brokers: 2 })
  machine.inject({ operation: 'write', path: 'metadata.journal', error: 'EIO' })
  const put = () => stores[0]!.transact([], [{ type: 'put', key: 'a', value: 'b' }])
  await expect(put()).rejects.toThrow()
  await expect(put()).rejects.toThrow()
  expect(failures).toEqual(['PAGELOG_STORAGE'])
  expect(processes.started.map(({ signals }) => signals)).toEqual([[], []])
  await supervisors.pop()!.abandon()
  expect(processes.alive).toHaveLength(2)
})

describe('a broker that dies', () => {
  test('loses its registration at once, and comes back', async () => {
    await start()
    const before = stores[0]!
    const [, victim] = processes.started
    const id = Number(victim!.command.find((one) => one.startsWith('node.id='))!.slice(8))
    processes.onStart = () => {}
    victim!.end('signal SIGKILL')
    // Its session would go on for ten minutes.
    await until(async () => (await before.get(`brokers/${id}`)).pair === undefined)
    await until(() => processes.started.length === 4)
    expect(events.find(({ event }) => event === 'died')).toMatchObject({ broker: id, how: 'signal SIGKILL' })
    await register(processes.started[3]!)
    await until(() => told('up').length === 4)
  })
})

describe('on a full disk', () => {
  const RESTART_MS = 200
  const ANOTHER_TRY_MS = 30_000

  test('a broker that dies is started once, its start is not undone, and all is written down when there is room', async () => {
    const machine = lyingDisk({ seed: 1 })
    const clock = new VirtualClock()
    await start({ env: { disk: machine.disk, clock }, directory: '/cluster', brokers: 2 })
    const stateOf = async () => (await readClusterState(machine.disk, '/cluster'))!
    await until(async () => (await stateOf()).brokers.every(({ process, port }) => process && port > 0))
    const before = await stateOf()
    const refused = machine.inject({ operation: 'write', path: 'cluster.json', error: 'ENOSPC', times: Infinity })
    machine.capacityBytes = machine.usedBytes
    processes.onStart = () => {}
    processes.started[0]!.end('signal SIGKILL')
    await until(() => told('died').length === 1)
    clock.advance(RESTART_MS)
    await until(() => refused.hits > 0)
    for (let turn = 0; turn < 20; turn++) {
      clock.advance(ANOTHER_TRY_MS / 10)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(processes.started).toHaveLength(3)
    expect(processes.alive).toHaveLength(2)
    expect(await stateOf()).toEqual(before)
    machine.capacityBytes = 2 ** 30
    refused.remove()
    await register(processes.started[2]!)
    await until(async () => {
      clock.advance(1000)
      const pids = (await stateOf()).brokers.map(({ process }) => process?.pid)
      return processes.alive.every(({ mark }) => pids.includes(mark.pid))
    })
    await until(() => told('up').length === 3)
  })

  test('a new cluster is refused', async () => {
    const machine = lyingDisk({ seed: 1 })
    machine.inject({ operation: 'write', path: 'cluster.json', error: 'ENOSPC' })
    const options = { env: { ...env, disk: machine.disk }, directory: '/cluster' }
    await expect(start(options)).rejects.toMatchObject({ code: 'PAGELOG_DISK_FULL' })
    expect(processes.started).toEqual([])
    await start(options)
  })

  test('the supervisor stops its brokers and itself', async () => {
    const machine = lyingDisk({ seed: 1 })
    const supervisor = await start({ env: { ...env, disk: machine.disk }, directory: '/cluster', brokers: 2 })
    machine.inject({ operation: 'write', path: 'cluster.json', error: 'ENOSPC', times: Infinity })
    await supervisor.stop()
    expect(processes.alive).toEqual([])
  })
})

test('a process that dies takes no registration of another one with it', async () => {
  await start({ brokers: 1 })
  const [process] = processes.started
  const other: FakeProcess = { ...process!, mark: { pid: 4711, startTicks: 7 } }
  await register(other)
  // The next one does not register: that would replace the other's.
  processes.onStart = () => {}
  process!.end('signal SIGKILL')
  await until(() => processes.started.length === 2 && told('died').length === 1)
  const { pair } = await stores[0]!.get('brokers/1')
  expect(JSON.parse(pair!.value)).toMatchObject({ pid: 4711 })
})

describe('the log of a broker', () => {
  test('is cut when it is too large, and what was in it is kept once; its last line is told', {
    timeout: 60_000,
  }, async () => {
    const clock = new VirtualClock()
    await start({ env: { ...env, clock }, brokers: 1 })
    const path = brokerLogFile(directory, 1)
    const child = await open(path, 'a')
    try {
      for (const round of ['first', 'second']) {
        await truncate(path, BROKER_LOG_BYTES_MAX)
        await child.write(`\nthe end of the ${round}\n`)
        clock.advance(60_000)
        await until(async () => (await stat(path)).size === 0)
        const kept = await lastLineOf(env.disk, `${path}.1`)
        expect(kept).toBe(`the end of the ${round}`)
        expect((await stat(`${path}.1`)).size).toBe(BROKER_LOG_BYTES_MAX)
      }
      await child.write('what came after\n')
      expect(await readFile(path, 'utf8')).toBe('what came after\n')
      clock.advance(60_000)
      processes.started[0]!.end('status 1')
      await until(() => told('died').length === 1)
      expect(events.at(-1)).toMatchObject({ lastLine: 'what came after' })
    } finally {
      await child.close()
    }
  })

  test('that is larger than a file can be read whole ends nobody', async () => {
    await start({ brokers: 1 })
    const path = brokerLogFile(directory, 1)
    await writeFile(path, '')
    await truncate(path, 2 ** 31 + 10)
    await appendFile(path, '\nit was too much\n')
    processes.started[0]!.end('status 1')
    await until(() => told('died').length === 1)
    expect(events.find(({ event }) => event === 'died')).toMatchObject({ lastLine: 'it was too much' })
  })

  test('that cannot be read or cut does not matter', async () => {
    const clock = new VirtualClock()
    await start({ env: { ...env, clock }, brokers: 1 })
    await mkdir(brokerLogFile(directory, 1))
    clock.advance(60_000)
    processes.started[0]!.end('status 1')
    await until(() => told('died').length === 1)
    clock.advance(200)
    await until(() => told('up').length === 2)
  })

  test('is cut on a full disk, where nothing of it can be kept', async () => {
    const machine = lyingDisk({ seed: 1 })
    const log = await machine.disk.open('/broker-1.log', 'write')
    await log.write([new Uint8Array(BROKER_LOG_BYTES_MAX + 1)], 0)
    await log.close()
    machine.capacityBytes = machine.usedBytes + 4096
    await boundLog(machine.disk, '/broker-1.log')
    expect((await machine.disk.status('/broker-1.log'))!.size).toBe(0)
    expect(await machine.disk.list('/')).toEqual(['broker-1.log'])
  })
})

describe('a supervisor that is gone', () => {
  test('is followed by one that finds the living brokers, and starts those that are gone', async () => {
    await (await start()).abandon()
    expect(processes.alive).toHaveLength(3)
    const [gone] = processes.alive
    gone!.end('signal SIGKILL')
    events = []
    await start()
    expect(told('adopted')).toHaveLength(2)
    expect(told('starting')).toHaveLength(1)
    expect(processes.started).toHaveLength(4)
    expect(processes.alive).toHaveLength(3)
    const status = await clusterStatus({ env, processes, logger: silentLogger, directory })
    expect(status.brokers.every(({ registered, pid }) => registered && pid !== undefined)).toBe(true)
  })

  test('a broker that it had not written down is known by the lock on its log directory', async () => {
    const other = await processes.start(['by', 'hand'])
    await env.disk.makeDirectory(join(directory, 'broker-1'))
    await lockAs(other.mark, join(directory, 'broker-1'))
    const starting = start({ brokers: 1 })
    await until(() => events.some(({ event }) => event === 'adopted'))
    await register({ ...processes.started[0]!, command: [...(await commandFor(1))], mark: other.mark })
    await starting
    expect(processes.started).toHaveLength(1)
  })

  const commandFor = async (id: number): Promise<string[]> => {
    const state = await readClusterState(env.disk, directory)
    return ['--metadata', `socket:${state!.socketPath}`, '--port', '0', `node.id=${id}`]
  }
})

test('stopping ends one broker after the other, and the metadata last', async () => {
  const supervisor = await start()
  const order: string[] = []
  processes.onSignal = (process) => {
    order.push(process.command.find((one) => one.startsWith('node.id='))!)
    setTimeout(() => process.end('status 0'), 5)
  }
  await stores[0]!.transact([], [{ type: 'put', key: 'controller', value: '{"id":3}' }])
  await until(async () => (await clusterStatus({ env, processes, logger: silentLogger, directory })).controller === 3)
  await supervisor.stop()
  expect(order).toEqual(['node.id=2', 'node.id=1', 'node.id=3'])
  expect(told('stopped')).toEqual([2, 1, 3])
  const state = await readClusterState(env.disk, directory)
  expect(state!.brokers.every((broker) => broker.process === undefined && broker.port > 0)).toBe(true)
})
