/** The programs of README.md run as they stand, with the package under its own name. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const programs = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1]!)

async function run(program: string): Promise<string> {
  // Inside the package, so that `import 'pagelog'` finds it; `tmp/` is not part of the repository.
  mkdirSync(join(root, 'tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, 'tmp/readme-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'tmp'))
  writeFileSync(join(folder, 'program.mjs'), program)
  const { stdout } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: folder })
  return stdout
}

test('the client program prints the record that it sent', async () => {
  expect(programs).toHaveLength(2)
  expect(await run(programs[0]!)).toBe('0 hello\n')
})

test('the embedding program prints the record that it appended', async () => {
  expect(await run(programs[1]!)).toBe('0 something happened\n')
})
