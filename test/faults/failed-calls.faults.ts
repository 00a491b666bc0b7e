/**
 * The k-th write, sync or rename of a process fails with EIO. From then on the log directory is offline (or the process
 * has ended with an error): what failed is not tried again, in particular no sync on what a sync failed on, nothing that
 * leans on it is answered, and a restart finds everything that was.
 */
import { expect, test } from 'vitest'
import { checkDirectory } from './check-directory.ts'
import { History } from './history.ts'
import { countCalls, inDirectory, scripts, spread, takesAllPoints, twoAtATime } from './runs.ts'
import { type Call, CHANGES, callsIn, runWorkload } from './strace.ts'

const CALLS = ['pwrite64', 'pwritev', 'fdatasync', 'fsync', 'ftruncate', 'rename']
const KINDS = [
  ['fdatasync', 'fsync'],
  ['pwrite64', 'pwritev'],
]
/** Of each system call in each script. */
const POINTS_MAX = takesAllPoints ? Number.POSITIVE_INFINITY : 8

interface Outcome {
  /** The call failed in this run. */
  readonly wasMet: boolean
  readonly faults: readonly string[]
}

async function runWithFailure(script: string, call: string, when: number, fault?: string): Promise<Outcome> {
  return await inDirectory(async (directory) => {
    const traceFile = `${directory}.trace`
    const run = await runWorkload({
      directory,
      script,
      traceFile,
      trace: [...CHANGES, 'write'],
      inject: `${call}:error=EIO:when=${when}`,
      ...(fault === undefined ? {} : { fault }),
    })
    const history = new History(run.events)
    const calls = callsIn(traceFile)
    const failedAt = calls.findIndex(({ isInjected }) => isInjected)
    const faults: string[] = []
    if (failedAt === -1) {
      if (run.code !== 0) faults.push(`ended with ${run.code} and nothing had failed: ${run.errors}`)
    } else {
      if (run.code !== 3 && run.code !== 1) faults.push(`ended with ${run.code} ${run.errors}`)
      faults.push(...repeated(calls, failedAt), ...answeredAfter(calls, failedAt))
    }
    const offlineAt = run.events.findIndex(({ what }) => what === 'offline')
    const late = run.events.slice(offlineAt).filter(({ what }) => what === 'appended')
    if (offlineAt !== -1 && late.length > 0) faults.push(`answered while offline: ${JSON.stringify(late)}`)
    faults.push(...(await checkDirectory(directory, history)))
    return { wasMet: failedAt !== -1, faults }
  })
}

/**
 * What failed must not be done again on the same path. A write or a sync of the other kind may have been on its way
 * already; that is no harm, as long as nobody is told that it went well.
 */
function repeated(calls: readonly Call[], failedAt: number): string[] {
  const failed = calls[failedAt]!
  const kind = KINDS.find((names) => names.includes(failed.name)) ?? [failed.name]
  return calls
    .slice(failedAt + 1)
    .filter((call) => kind.includes(call.name) && call.path === failed.path)
    .map((call) => `${failed.name} failed on ${failed.path}, then came ${call.name}(${call.args})`)
}

/** Durable appends of a log that were answered after one of its calls failed, and not owed to an earlier sync. */
function answeredAfter(calls: readonly Call[], failedAt: number): string[] {
  const faults: string[] = []
  const told = calls.map(({ name, path, args }) => (name === 'write' && path.startsWith('pipe:') ? textOf(args) : ''))
  for (let at = failedAt + 1; at < calls.length; at++) {
    const [, log, id] = /"what":"appended","log":"(\w+)","id":(\d+),.*"durable":true/.exec(told[at]!) ?? []
    if (log === undefined || !calls[failedAt]!.path.includes(`/${log}-0/`)) continue
    const sentAt = told.findIndex((text) => text.startsWith(`{"what":"append","log":"${log}","id":${id},`))
    const wasSynced = calls
      .slice(sentAt, failedAt)
      .some(({ name, path, result }) => name === 'fdatasync' && path.includes(`/${log}-0/`) && result === '0')
    if (!wasSynced) faults.push(`append ${id} of ${log} was answered without a sync`)
  }
  return faults
}

function textOf(args: string): string {
  const [, quoted] = /"(.*)"(?:\.\.\.)?, \d+$/.exec(args) ?? []
  return JSON.parse(`"${quoted ?? ''}"`) as string
}

test.each(scripts)(
  'a failed call takes the directory offline, and costs nothing that was answered: %s',
  async (script) => {
    const counts = await countCalls(script)
    const points = CALLS.flatMap((call) => spread(counts.get(call)!, POINTS_MAX).map((when) => ({ call, when })))
    let met = 0
    await twoAtATime(points, async ({ call, when }) => {
      const { wasMet, faults } = await runWithFailure(script, call, when)
      expect(faults, `${call} number ${when}`).toEqual([])
      if (wasMet) met++
    })
    expect(met).toBeGreaterThan(points.length * 0.9)
  },
)

test('a log that syncs again after a failed sync, and believes it, is found out', async () => {
  const found: string[] = []
  for (const when of [6, 12]) {
    const { wasMet, faults } = await runWithFailure('appends', 'fdatasync', when, 'syncs-again')
    if (wasMet) found.push(...faults)
  }
  expect(found.filter((fault) => fault.includes('fdatasync failed on'))).not.toEqual([])
})
