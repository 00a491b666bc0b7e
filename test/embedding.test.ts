/** The programs of docs/embedding.md run as they stand and print what the page says. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const page = readFileSync(join(root, 'docs/embedding.md'), 'utf8')

interface Example {
  readonly title: string
  readonly program: string
  readonly output: string
}

const examples: Example[] = [...page.matchAll(/^### (.+)\n[\s\S]*?```js\n([\s\S]*?)```\n\n```\n([\s\S]*?)```/gm)].map(
  ([, title, program, output]) => ({ title: title!, program: program!, output: output! }),
)

async function run(program: string): Promise<string> {
  // Inside the package, so that `import 'pagelog'` finds it; `tmp/` is not part of the repository.
  mkdirSync(join(root, 'tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, 'tmp/embedding-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'program.mjs'), program)
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: folder })
  expect(stderr).toBe('')
  return stdout
}

test('the page has five programs, and each says what it prints', () => {
  expect(examples.map(({ title }) => title)).toEqual([
    'An event store',
    'A work queue with acknowledgements',
    'tail -f',
    'A write-ahead log for a key-value map',
    'Keyed state by compaction',
  ])
})

test.each(examples)('$title', async ({ program, output }) => {
  expect(await run(program)).toBe(output)
})

test('the program at the top of the page', async () => {
  const [, first] = /```js\n([\s\S]*?)```/.exec(page)!
  expect(await run(first!)).toBe('0 14\n1 14\n2 14\n')
})
