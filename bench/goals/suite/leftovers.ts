/** A harness that is killed with SIGKILL in the middle of a load: what is left, and what is left after the next run. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { canHaveNamespaces, namesWith } from '../../netns/namespaces.ts'
import { Child } from '../../process/children.ts'
import { packageRoot } from '../../process/package-root.ts'
import type { GoalContext } from '../goal.ts'

const SETTLED_MS_MAX = 15_000

export async function leftovers(context: GoalContext): Promise<void> {
  await afterKill(context, 'leftovers', [])
  if (canHaveNamespaces()) await afterKill(context, 'leftovers.netns', ['--netns', '1gbit'])
}

async function afterKill(context: GoalContext, id: string, more: readonly string[]): Promise<void> {
  const data = context.scratch.directory('data')
  const run = (...options: string[]) =>
    new Child('the benchmark', {
      command: process.execPath,
      args: [
        join(packageRoot, 'bin/pagelog.cjs'),
        'bench',
        'load',
        '--data-dir',
        data,
        '--out',
        join(data, 'out'),
        ...more,
        ...options,
      ],
    })
  const killed = run('--rate', '100', '--seconds', '60')
  await until(() => processesOf(data).length > 0)
  await until(() => readdirSync(data).some((name) => name.startsWith('pagelog-bench-')))
  killed.killNow()
  await killed.exited
  const rightAfter = processesOf(data).length
  const namespaces = () => namesWith(`pagelog-bench-${killed.pid}-`)
  const namespacesAfter = namespaces().length
  const next = run('--rate', '100', '--seconds', '0.5', '--warm-up', '0')
  const { code } = await next.exited
  await until(() => processesOf(data).length === 0)
  const processes = processesOf(data).length
  const directories = readdirSync(data).filter((name) => name.startsWith('pagelog-bench-'))
  context.report({
    id,
    pass: code === 0 && processes === 0 && directories.length === 0 && namespaces().length === 0,
    measured:
      `${processes} processes, ${directories.length} directories and ${namespaces().length} namespaces left ` +
      `(${rightAfter} processes and ${namespacesAfter} namespaces right after the kill)` +
      (code === 0 ? '' : `, and the next run ended with status ${code}`),
    goal: 'none',
    how: 'kill -9 of a load in its middle, then another load in the same place',
  })
}

/** Those whose command line names the directory. */
function processesOf(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
        return words.includes('broker') && words.some((word) => word.startsWith(directory))
      } catch {
        return false
      }
    })
    .map(Number)
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + SETTLED_MS_MAX
  while (!condition() && performance.now() < endMs) await sleep(50)
}
