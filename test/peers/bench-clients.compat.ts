/** Other clients for Node.js as drivers of the benchmarks, on a broker that is there already: what they wrote is read back. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepareClient } from '../../bench/peers/node-clients.ts'
import { packageRoot } from '../../bench/process/package-root.ts'
import type { BenchResult } from '../../bench/result.ts'
import { Admin } from '../../src/client/index.ts'
import { startBroker } from '../../src/testing/index.ts'

let directory = ''
let broker: Awaited<ReturnType<typeof startBroker>>
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pagelog-bench-clients-test-'))
  broker = await startBroker()
  await Promise.all([prepareClient('kafkajs'), prepareClient('platformatic')])
})
afterAll(async () => {
  await broker.close()
  rmSync(directory, { recursive: true, force: true })
})

test('kafkajs and @platformatic/kafka produce; no topic is left on the broker', async () => {
  const hosts = join(directory, 'hosts')
  writeFileSync(hosts, `${broker.bootstrap} # here\n`)
  const small = ['--quick', '--records', '20000', '--warm-up', '0.1', '--seconds', '5', '--out', directory]
  const asked = ['--hosts', hosts, '--clients', 'kafkajs,platformatic', '--tests', 'single-producer', ...small]
  await promisify(execFile)(process.execPath, [join(packageRoot, 'bin/pagelog.cjs'), 'bench', ...asked])
  const result = JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')) as BenchResult
  expect(result).toMatchObject({ complete: true, failures: [], limits: [] })
  expect(result.results.map(({ target, driver }) => [target, driver])).toEqual([
    ['hosts', 'kafkajs'],
    ['hosts', 'platformatic'],
  ])
  for (const { runs } of result.results) expect(runs[0]).toMatchObject({ verified: true, storedBytesPerRecord: null })
  const admin = new Admin({ bootstrap: broker.bootstrap })
  try {
    expect((await admin.listTopics()).filter((topic) => topic.startsWith('bench-'))).toEqual([])
  } finally {
    await admin.close()
  }
})
