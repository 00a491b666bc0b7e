/** Brokers and clusters that must not start, as processes: one clear line, exit status 1, and nothing is overwritten. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))
let directory: string
/** A cluster of one broker, with the id 1. */
let supervisor: ChildProcess
let cluster: string
let bootstrap: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pagelog-bad-'))
  cluster = join(directory, 'cluster')
  const args = ['cluster', 'start', '--dir', cluster, '--brokers', '1', '--port', '0', '--json']
  supervisor = spawn(process.execPath, [launcher, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  bootstrap = await new Promise((resolve, reject) => {
    supervisor.on('exit', (status) => reject(new Error(`the cluster ended with ${status}: ${output}`)))
    supervisor.stdout!.on('data', (text: Buffer) => {
      output += text.toString()
      const ready = /"bootstrap":"([^"]+)"/.exec(output)
      if (ready) resolve(ready[1]!)
    })
  })
}, 60_000)
afterAll(async () => {
  supervisor.kill('SIGTERM')
  await new Promise((resolve) => supervisor.on('exit', resolve))
  await rm(directory, { recursive: true, force: true })
}, 60_000)

interface Ended {
  readonly status: number
  readonly lines: readonly string[]
}

function run(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [launcher, ...args], { timeout: 60_000 }, (error, output, errors) => {
      const lines = `${output}${errors}`.trim().split('\n')
      resolve({ status: error ? Number(error.code) : 0, lines })
    })
  })
}

const broker = (id: number, folder: string, metadata = `socket:${cluster}/metadata.sock`): Promise<Ended> =>
  run('broker', '--metadata', metadata, '--port', '0', '--data-dir', folder, '--override', `node.id=${id}`)

/** Every file of a folder by name, with a digest of what is in it; locks are taken and left. */
async function contentsOf(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of existsSync(folder) ? await readdir(folder, { recursive: true }) : []) {
    const path = join(folder, name)
    if (name.includes('.lock') || (await stat(path)).isDirectory()) continue
    found[name] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
  }
  return found
}

function expectRefusal({ status, lines }: Ended, words: RegExp): void {
  expect({ status, lines }).toEqual({ status: 1, lines: [expect.stringMatching(words)] })
  expect(lines[0]).toMatch(/^pagelog: /)
}

test('a node id that another living folder has', { timeout: 60_000 }, async () => {
  const folder = join(directory, 'another')
  expectRefusal(await broker(1, folder), new RegExp(`node.id=1 is in use by the broker at ${bootstrap}`))
  expect(await contentsOf(folder)).toEqual({})
})

test("another cluster's folder", { timeout: 60_000 }, async () => {
  const folder = join(directory, 'of-another-cluster')
  const alone = spawn(process.execPath, [launcher, 'broker', '--port', '0', '--data-dir', folder], { stdio: 'pipe' })
  await new Promise<void>((resolve) => alone.stdout.once('data', () => resolve()))
  alone.kill('SIGTERM')
  await new Promise((resolve) => alone.on('exit', resolve))
  const before = await contentsOf(folder)
  expect(Object.keys(before)).toContain('meta.properties')
  expectRefusal(await broker(1, folder), /belongs to cluster|in use/)
  expectRefusal(await broker(2, folder), /log directory belongs to (cluster.id|node.id)=/)
  expect(await contentsOf(folder)).toEqual(before)
})

test('an etcd that nobody answers for', { timeout: 60_000 }, async () => {
  const folder = join(directory, 'no-etcd')
  const words = /connect ECONNREFUSED 127.0.0.1:1.*see that etcd runs there, or correct pagelog.metadata=etcd:/
  expectRefusal(await broker(2, folder, 'etcd://127.0.0.1:1'), words)
  expect(await contentsOf(folder)).toEqual({})
})

test('a metadata socket that nobody serves', { timeout: 60_000 }, async () => {
  const words = /start what serves it \(pagelog cluster start\), or correct pagelog.metadata=socket:/
  expectRefusal(await broker(2, join(directory, 'no-socket'), `socket:${directory}/none.sock`), words)
})

/** A byte in the middle of its first entry. */
async function damage(journal: string): Promise<void> {
  const file = await open(journal, 'r+')
  await file.write(Uint8Array.of(0), 0, 1, 14)
  await file.close()
}

test('a damaged metadata journal of a cluster', { timeout: 60_000 }, async () => {
  const copy = join(directory, 'copy')
  await cp(cluster, copy, { recursive: true, filter: (path) => !path.includes('lock') && !path.endsWith('.sock') })
  await rm(join(copy, 'cluster.json'))
  await damage(join(copy, 'metadata.journal'))
  const before = await contentsOf(copy)
  const words = /the metadata journal .*metadata.journal is damaged at byte 0/
  expectRefusal(await run('cluster', 'start', '--dir', copy, '--brokers', '1', '--port', '0'), words)
  expect(await contentsOf(copy)).toEqual(before)
})

test('a damaged metadata journal of a broker by itself', { timeout: 60_000 }, async () => {
  const folder = join(directory, 'alone')
  const args = [launcher, 'broker', '--port', '0', '--data-dir', folder]
  const alone = spawn(process.execPath, args, { stdio: 'pipe' })
  await new Promise<void>((resolve) => alone.stdout.once('data', () => resolve()))
  alone.kill('SIGTERM')
  await new Promise((resolve) => alone.on('exit', resolve))
  await damage(join(folder, 'pagelog-metadata.journal'))
  const before = await contentsOf(folder)
  const words = /the metadata journal .*pagelog-metadata.journal is damaged at byte 0/
  expectRefusal(await run('broker', '--port', '0', '--data-dir', folder), words)
  expect(await contentsOf(folder)).toEqual(before)
})
