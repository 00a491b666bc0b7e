/** Brokers that are there already: addresses where nobody speaks the protocol end a run at once, and so does a signal. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packageRoot } from '../../bench/process/package-root.ts'
import { withResolvers } from '../../bench/process/resolvers.ts'

let directory = ''
let server: Server
let connected = withResolvers<void>()
const sockets = new Set<Socket>()
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-hosts-test-'))
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).resume()
    connected.resolve()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  writeFileSync(join(directory, 'hosts'), `127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
  rmSync(directory, { recursive: true, force: true })
})

function bench(...words: string[]) {
  const places = ['--hosts', join(directory, 'hosts'), '--out', join(directory, 'out')]
  const child = spawn(process.execPath, [join(packageRoot, 'bin/pagelog.cjs'), 'bench', ...words, ...places])
  let said = ''
  child.stdout.resume()
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, said })) }
}

test('where nobody answers is said once, with status 1', { timeout: 120_000 }, async () => {
  const runs = [bench('--tests', 'single-producer'), bench('linkedin-2014', '--quick')]
  for (const { code, said } of await Promise.all(runs.map(({ ended }) => ended))) {
    expect(code).toBe(1)
    expect(said.match(/no broker answers at 127\.0\.0\.1:\d+ within/g)).toHaveLength(1)
  }
  expect(readdirSync(directory)).toEqual(['hosts'])
})

test('Ctrl-C while it waits for an answer ends it', { timeout: 120_000 }, async () => {
  connected = withResolvers()
  const { child, ended } = bench('--tests', 'single-producer')
  await connected.promise
  child.kill('SIGINT')
  const { code, said } = await ended
  expect(code).toBe(1)
  expect(said).toContain('interrupted')
})
