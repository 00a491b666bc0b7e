/** The built command, as a user starts it. */
import { execFile, fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DescribeConfigs } from '../../src/protocol/index.ts'
import { startProcess } from '../broker/broker-process.ts'
import { RawClient } from '../broker/raw-client.ts'

const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))
let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-cli-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

interface Run {
  readonly status: number
  readonly output: string
  readonly errors: string
}

function run(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [launcher, ...args], (error, output, errors) => {
      resolve({ status: error ? Number(error.code) : 0, output, errors })
    })
  })
}

describe('the command', () => {
  test('tells its usage and version', async () => {
    expect(await run('--help')).toMatchObject({
      status: 0,
      output: expect.stringContaining('pagelog broker') as string,
    })
    expect((await run('--version')).output).toMatch(/^\d+\.\d+\.\d+/)
    const help = await run('broker', '--help')
    expect(help.output).toContain('log.segment.bytes (int, 1073741824)')
  })

  test.each([
    [['frobnicate'], 2, 'unknown command frobnicate'],
    [['broker', '--wrong'], 1, '--wrong'],
    [['broker', '--port', 'x'], 1, '--port x'],
    [['broker', '--override', 'nothing'], 1, 'NAME=VALUE'],
    [['broker', '--override', 'num.partitions=0'], 1, 'num.partitions=0'],
    [['broker', 'a', 'b'], 1, 'one settings file'],
    [['broker', 'missing.properties'], 1, 'cannot read the settings file missing.properties'],
  ])('%j fails with one clear line', async (args, status, text) => {
    const result = await run(...args)
    expect(result.status).toBe(status)
    expect(result.errors.split('\n')[0]).toContain(text)
    expect(result.errors).not.toContain('    at ')
  })
})

describe('a broker', () => {
  test('says where it listens, and takes settings from file and command line', async () => {
    const file = join(directory, 'server.properties')
    await writeFile(
      file,
      '# comment\nnum.partitions = 3\nlog.segment.bytes: 2000000\nbackground.threads=4\nnonsense=1\n',
    )
    const broker = await startProcess(join(directory, 'data'), [file, '--override', 'num.partitions=5'])
    expect(broker.output()).toBe(`pagelog: listening on ${broker.bootstrap}, data in ${join(directory, 'data')}\n`)
    const client = await RawClient.connect(broker.bootstrap)
    const { results } = await client.ask(DescribeConfigs, 4, {
      resources: [{ resourceType: 4, resourceName: '1', configurationKeys: ['num.partitions', 'log.segment.bytes'] }],
    })
    expect(results[0]!.configs.map((config) => config.value).sort()).toEqual(['2000000', '5'])
    await client.close()
    expect(await broker.end('SIGINT')).toBe(0)
    const messages = broker
      .errors()
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg)
    expect(messages.sort()).toEqual(['setting background.threads is not honoured yet', 'unknown setting nonsense'])
  })

  test('with --json prints its address and, at the end, its metrics', async () => {
    const broker = await startProcess(directory, ['--json'])
    expect(await broker.end('SIGTERM')).toBe(0)
    const [listening, closed] = broker
      .output()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object)
    expect(listening).toMatchObject({
      event: 'listening',
      host: '127.0.0.1',
      dataDir: directory,
      nodeId: 1,
      pid: broker.pid,
    })
    expect(closed).toMatchObject({
      event: 'closed',
      metrics: {
        requests: 0,
        process: {
          cpuSeconds: expect.any(Number) as number,
          rss: expect.any(Number) as number,
          eventLoop: { turns: expect.any(Number) as number, delayMs: { p50: expect.any(Number) as number } },
        },
      },
    })
  })

  test('a second one on the same folder or port fails with one line', async () => {
    const broker = await startProcess(directory)
    const port = broker.bootstrap.split(':')[1]!
    const sameFolder = await run('broker', '--port', '0', '--data-dir', directory)
    expect(sameFolder.status).toBe(1)
    expect(sameFolder.errors.trim().split('\n')).toHaveLength(1)
    const samePort = await run('broker', '--port', port, '--data-dir', join(directory, 'other'))
    expect(samePort.status).toBe(1)
    expect(samePort.errors).toContain(port)
    expect(samePort.errors.trim().split('\n')).toHaveLength(1)
    await broker.end('SIGTERM')
  })

  test('answers its parent, and ends when the parent lets go', async () => {
    const child = fork(launcher, ['broker', '--port', '0', '--data-dir', directory], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    const ended = new Promise((resolve) => child.on('exit', resolve))
    await new Promise((resolve) => child.stdout!.once('data', resolve))
    const answer = new Promise((resolve) => child.once('message', resolve))
    child.send('metrics-reset')
    child.send('metrics')
    expect(await answer).toMatchObject({
      event: 'metrics',
      metrics: { connections: 0, process: { rss: expect.any(Number) as number } },
    })
    child.disconnect()
    expect(await ended).toBe(0)
  })
})
