/** A broken invariant inside the append path ends the process: it is not turned into a refused append. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const program = `
import { BatchWriter, openLogDirectory } from 'pagelog'
const directory = await openLogDirectory(process.argv[1])
const log = await directory.create('t', 0)
// An assertion that fails inside the write path, planted where the append queue hands out a group.
const { InvariantError } = await import(process.argv[2])
Object.defineProperty(Array.prototype, 'slice', { value() { throw new InvariantError('planted') } })
const batch = new BatchWriter(new Uint8Array(1000))
batch.append(0, null, new Uint8Array(1))
await log.appendBatch(batch.finish(), 0).catch(() => {})
setTimeout(() => console.log('still alive'), 1000)
`

test('a broken invariant in the append path ends the process', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-invariant-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const base = new URL('../../dist/src/base/index.js', import.meta.url).href
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, directory, base])
  const failure = await run.then(
    () => undefined,
    (error: { stdout: string; stderr: string }) => error,
  )
  expect(failure?.stderr).toContain('InvariantError: planted')
  expect(failure?.stdout).toBe('')
})
