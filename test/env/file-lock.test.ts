import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { lockFile } from '../../src/env/node/file-lock.ts'
import type { FileCalls } from '../../src/native/index.ts'
import { addon, addonPath } from '../native/implementations.ts'
import { descriptorsOn, temporaryDirectory } from './temporary-directory.ts'

const calls = addon.fileCalls as FileCalls
const byKernel = (path: string) => lockFile(path, calls)
const byMark = (path: string) => lockFile(path, undefined)
const lockedBy = (pid: number) => ({
  code: 'PAGELOG_LOCKED',
  message: expect.stringContaining(String(pid)),
})

/** A process that runs `script` until it is killed; resolves once it has printed a line. */
async function otherProcess(script: string): Promise<{ process: ChildProcess; kill: () => Promise<void> }> {
  const text = `${script}; console.log('ready'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', text], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  onTestFinished(kill)
  await new Promise((resolve) => child.stdout!.once('data', resolve))
  return { process: child, kill }
}

/** The mark of a process, as it stands in a lock file of this folder. */
function markOf(pid: number, folder: string, ticksAgo = 0): string {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const ticks = Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19])
  const { dev, ino } = statSync(folder)
  return `${pid} ${ticks - ticksAgo} ${dev}:${ino}\n`
}

describe.each([
  ['the kernel', byKernel],
  ['a mark', byMark],
])('a lock by %s', (_, lock) => {
  test('is held by one until it is released', async () => {
    const path = join(temporaryDirectory(), '.lock')
    const held = await lock(path)
    await expect(lock(path)).rejects.toMatchObject({ ...lockedBy(process.pid), path })
    await held.release()
    await held.release()
    expect(existsSync(path)).toBe(true)
    expect(descriptorsOn(path)).toBe(0)
    await (await lock(path)).release()
  })

  test('does not mind what an earlier holder or Kafka left in the file', async () => {
    const path = join(temporaryDirectory(), '.lock')
    for (const left of ['', 'whatever', '1', '4194304 17 1:1\n']) {
      writeFileSync(path, left)
      await (await lock(path)).release()
    }
  })

  test('is refused where there is no directory', async () => {
    const path = join(temporaryDirectory(), 'missing', '.lock')
    await expect(lock(path)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', path, cause: { code: 'ENOENT' } })
  })

  test('of many at once only one succeeds', async () => {
    const path = join(temporaryDirectory(), '.lock')
    const tries = await Promise.allSettled(Array.from({ length: 10 }, () => lock(path)))
    const held = tries.filter((one) => one.status === 'fulfilled')
    expect(held).toHaveLength(1)
    for (const one of tries) if (one.status === 'rejected') expect(one.reason.code).toBe('PAGELOG_LOCKED')
    await held[0]!.value.release()
  })

  test('is refused while the other way holds it', async () => {
    const path = join(temporaryDirectory(), '.lock')
    const other = lock === byKernel ? byMark : byKernel
    const held = await other(path)
    await expect(lock(path)).rejects.toMatchObject(lockedBy(process.pid))
    await expect(other(path)).rejects.toMatchObject({ code: 'PAGELOG_LOCKED' })
    await held.release()
    await (await lock(path)).release()
  })
})

test('a lock by the kernel is refused while another process holds it, and free once that is killed', async () => {
  const path = join(temporaryDirectory(), '.lock')
  const other = await otherProcess(`
    const fd = require('node:fs').openSync(${JSON.stringify(path)}, 'w+')
    if (!require(${JSON.stringify(addonPath)}).fileCalls.lock(fd)) process.exit(1)
  `)
  await expect(byKernel(path)).rejects.toMatchObject({ code: 'PAGELOG_LOCKED', path })
  expect(descriptorsOn(path)).toBe(0)
  await other.kill()
  await (await byKernel(path)).release()
})

describe.each([
  ['the kernel', byKernel],
  ['a mark', byMark],
])('the mark of another process, for a lock by %s', (_, lock) => {
  test('keeps it out while that process lives, and is taken over afterwards', async () => {
    const path = join(temporaryDirectory(), '.lock')
    const other = await otherProcess('')
    writeFileSync(`${path}.pid`, markOf(other.process.pid!, dirname(path)))
    await expect(lock(path)).rejects.toMatchObject(lockedBy(other.process.pid!))
    expect(descriptorsOn(path)).toBe(0)
    await other.kill()
    await (await lock(path)).release()
  })

  test('counts for nothing when its pid belongs to a later process', async () => {
    const path = join(temporaryDirectory(), '.lock')
    writeFileSync(`${path}.pid`, markOf(process.pid, dirname(path), 1))
    const held = await lock(path)
    if (lock === byMark) expect(readFileSync(`${path}.pid`, 'utf8')).toBe(markOf(process.pid, dirname(path)))
    await held.release()
  })

  test('counts for nothing in a copy of the folder that it holds', async () => {
    const path = join(temporaryDirectory(), '.lock')
    const other = await otherProcess('')
    const elsewhere = markOf(other.process.pid!, temporaryDirectory())
    writeFileSync(path, elsewhere)
    writeFileSync(`${path}.pid`, elsewhere)
    await (await lock(path)).release()
  })
})

test('a torn mark, of a crash while it was written, does not lock anyone out for ever', async () => {
  const path = join(temporaryDirectory(), '.lock')
  writeFileSync(`${path}.pid`, '12')
  await (await byMark(path)).release()
})
