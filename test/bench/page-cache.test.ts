import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readIntoPageCache } from '../../bench/measure/page-cache.ts'

test('reads every segment of the topic, and nothing else', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-page-cache-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  for (const [folder, name, bytes] of [
    ['t-0', '0.log', 3_000_000],
    ['t-0', '9.log', 5],
    ['t-1', '0.log', 0],
    ['t-1', '0.index', 100],
    ['other-0', '0.log', 1000],
  ] as const) {
    mkdirSync(join(directory, folder), { recursive: true })
    writeFileSync(join(directory, folder, name), new Uint8Array(bytes))
  }
  expect(await readIntoPageCache(directory, 't')).toBe(3_000_005)
})
