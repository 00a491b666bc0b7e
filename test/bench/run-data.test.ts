/** What a run stores does not outlive it: topics of runs that fail, data of brokers whose test is over. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Session, withTopic } from '../../bench/drivers/session.ts'
import { Harness } from '../../bench/harness.ts'
import { Progress } from '../../bench/measure/progress.ts'
import { makeScratch } from '../../bench/process/scratch.ts'
import { isRun } from '../../bench/result.ts'
import { hostsTarget } from '../../bench/targets/hosts.ts'
import { Targets } from '../../bench/targets/targets.ts'
import { Admin } from '../../src/client/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { settings } from './sample-result.ts'

async function topicsOf(bootstrap: string): Promise<string[]> {
  const admin = new Admin({ bootstrap })
  try {
    return await admin.listTopics()
  } finally {
    await admin.close()
  }
}

test('a topic is there while a run works, and gone when it is over or has failed', async () => {
  const broker = await startBroker()
  try {
    const session: Session = {
      ...{ target: hostsTarget(broker.bootstrap), replicationFactor: 1, settings },
      ...{ signal: new AbortController().signal, onProgress: () => {} },
    }
    const topic = 'bench-here'
    const seen = await withTopic(session, { topic, partitions: 2 }, () => topicsOf(broker.bootstrap))
    expect(seen).toContain(topic)
    expect(await topicsOf(broker.bootstrap)).not.toContain(topic)
    const failing = withTopic(session, { topic, partitions: 2 }, () => Promise.reject(new Error('the run failed')))
    await expect(failing).rejects.toThrow('the run failed')
    expect(await topicsOf(broker.bootstrap)).not.toContain(topic)
  } finally {
    await broker.close()
  }
})

test('after a test its data are gone, after the last one those of its brokers', { timeout: 120_000 }, async () => {
  const parent = mkdtempSync(join(tmpdir(), 'pagelog-run-data-test-'))
  const scratch = makeScratch(parent)
  const { signal } = new AbortController()
  const targets = new Targets({ partitions: 2, scratch, signal })
  const directories: string[] = []
  const stored = (directory: string) => readdirSync(directory).filter((name) => name.startsWith('bench-'))
  try {
    const harness = new Harness({
      settings: { ...settings, records: 20_000, warmUpSeconds: 0.05, runs: 1, against: null },
      variants: [{ target: 'pagelog', driver: 'pagelog-client' }],
      ...{ targets, scratch, signal, progress: new Progress(1, { quiet: true }), settle: false },
      afterRuns: async ({ dataDirectory }) => {
        directories.push(dataDirectory)
        expect(stored(dataDirectory)).not.toEqual([])
      },
    })
    const { variants } = await harness.runTest('single-consumer')
    expect(variants.flatMap(({ runs }) => runs).every(isRun)).toBe(true)
    expect(directories.map(stored)).toEqual([[]])
    await targets.close()
    expect(directories.filter((directory) => existsSync(directory))).toEqual([])
  } finally {
    await targets.close()
    scratch.remove()
    rmSync(parent, { recursive: true, force: true })
  }
})
