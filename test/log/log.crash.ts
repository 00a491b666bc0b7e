/** kill -9 of a process that appends: everything it was told is stored is there afterwards, and nothing torn. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { LogDirectory } from '../../src/log/index.ts'
import { defaults, env, readAll, temporaryDirectory } from './support.ts'

const child = fileURLToPath(new URL('./append-until-killed.mjs', import.meta.url))
const built = fileURLToPath(new URL('../../dist/src/log/index.js', import.meta.url))
const KILLS = 6

/** Runs the child until it has printed `lines` lines, kills it, and gives the last offset it was answered. */
async function appendUntilKilled(path: string, lines: number): Promise<number> {
  const running = spawn(process.execPath, [child, path], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let problems = ''
  running.stderr.on('data', (chunk: Buffer) => {
    problems += chunk.toString()
  })
  running.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    if (output.split('\n').length > lines) running.kill('SIGKILL')
  })
  const [, signal] = await once(running, 'close')
  if (signal !== 'SIGKILL') throw new Error(`child ended by itself: ${problems}`)
  return Number(output.split('\n').slice(0, -1).at(-1))
}

it('keeps every answered append through repeated kills', { timeout: 180_000 }, async () => {
  if (!existsSync(built)) throw new Error('the package is not built: npm run build')
  const path = await temporaryDirectory()
  let answered = -1
  for (let kill = 0; kill < KILLS; kill++) {
    answered = await appendUntilKilled(path, 100 + kill * 333)
    const directory = await LogDirectory.open({ env, path, defaults })
    expect(directory.wasClean).toBe(false)
    const log = directory.get('t', 0)!
    expect(log.logEndOffset).toBeGreaterThan(answered)
    const records = await readAll(log, 0, 100_000)
    expect(records.every((record) => record.value === `${record.offset}`)).toBe(true)
    expect(records.length).toBe(log.logEndOffset)
    await directory.close({ clean: kill % 2 === 0 })
  }
  expect(answered).toBeGreaterThan(1000)
})
