/**
 * Syncs that take seconds: whoever asked for one waits, everything else goes on. Appends at `os` durability, reads, and
 * the event loop, are as quick as ever, however many logs wait for the device.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkDirectory } from './check-directory.ts'
import { History } from './history.ts'
import { inDirectory } from './runs.ts'
import { runWorkload } from './strace.ts'

const DELAY_MS = 1_000
const LOGS = 8

interface Measured {
  readonly stalledMs: number
  readonly tookMs: { readonly appends: number[]; readonly reads: number[] }
  readonly loop: { readonly delayMs: { readonly p99: number; readonly max: number } }
}

function percentile(values: number[], share: number): number {
  return values.sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!
}

test.each([4, 8])(
  'a slow sync keeps only those waiting who asked for it, with a pool of %i threads',
  async (poolThreads) => {
    await inDirectory(async (directory) => {
      const names = Array.from({ length: LOGS }, (_, index) => `slow${index}`)
      const onlyOn = names.map((name) => join(directory, `${name}-0`, '00000000000000000000.log'))
      const inject = `fdatasync:delay_enter=${DELAY_MS}ms:when=1+`
      const { events, code, errors } = await runWorkload({
        directory,
        script: 'stalling',
        inject,
        onlyOn,
        poolThreads,
        trace: ['fdatasync'],
      })
      expect([code, errors], JSON.stringify(events.at(-1))).toEqual([0, ''])
      const measured = events.find(({ what }) => what === 'measured') as unknown as Measured
      // So it was slow indeed; each pool thread's first sync is, and no more than two fewer than there are sync at a time.
      expect(measured.stalledMs).toBeGreaterThan(DELAY_MS)
      const { appends, reads } = measured.tookMs
      expect(appends.length).toBeGreaterThan(100)
      const figures = {
        appendP99: percentile(appends, 0.99),
        readP99: percentile(reads, 0.99),
        loopP99: measured.loop.delayMs.p99,
        loopMax: measured.loop.delayMs.max,
      }
      // Far below the delay, and generous to a machine that has other things to do.
      for (const [name, ms] of Object.entries(figures)) expect(ms, name).toBeLessThan(DELAY_MS / 6)
      expect(await checkDirectory(directory, new History(events))).toEqual([])
    })
  },
)
