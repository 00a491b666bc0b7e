/** Targets that do not work, under the command as users start it: how it ends, what it says, what it leaves. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { StubProcess } from '../../honesty/stub-process.ts'
import type { LoadResult } from '../../load/result.ts'
import { Child } from '../../process/children.ts'
import { packageRoot } from '../../process/package-root.ts'
import type { GoalContext } from '../goal.ts'

const SECONDS_MAX = 60
const LOAD = ['--rate', '200', '--seconds', '3', '--warm-up', '0', '--drain', '3', '--partitions', '1', '--linger', '0']

export async function badTargets(context: GoalContext): Promise<void> {
  const answers = (text: string) => (socket: Socket) => {
    socket.on('error', () => {})
    socket.on('data', () => socket.write(text))
  }
  await withServer(answers('SSH-2.0-nothing\r\n'), (bootstrap) =>
    line(context, 'garbage', bootstrap, /metadata/, false, ['--topic', 't']),
  )
  await withServer(
    (socket) => socket.on('error', () => {}),
    (bootstrap) => line(context, 'silence', bootstrap, /metadata/, false, ['--topic', 't']),
  )
  await withStub({ silentAfterBatches: 200 }, (bootstrap) =>
    line(context, 'stops-answering', bootstrap, /no answer|not delivered/, true),
  )
  await withStub({ fullAfterBatches: 200 }, (bootstrap) =>
    line(context, 'storage-error', bootstrap, /log directory|not delivered|no answer/, true),
  )
  await fullDisk(context)
}

/** A broker of ours on a file system of 24 MiB. Only root can make one. */
async function fullDisk(context: GoalContext): Promise<void> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return
  const directory = context.scratch.directory('tiny')
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', directory])
  try {
    await line(context, 'full-disk', null, /disk full/, true, [
      '--data-dir',
      directory,
      '--size',
      '10000',
      '--rate',
      '2000',
    ])
  } finally {
    execFileSync('umount', [directory])
  }
}

async function withStub(spec: object, work: (bootstrap: string) => Promise<void>): Promise<void> {
  const stub = await StubProcess.start(spec)
  try {
    await work(stub.bootstrap)
  } finally {
    await stub.close()
  }
}

async function withServer(
  onSocket: (socket: Socket) => void,
  work: (bootstrap: string) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await work(`127.0.0.1:${(server.address() as { port: number }).port}`)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

async function line(
  context: GoalContext,
  id: string,
  bootstrap: string | null,
  message: RegExp,
  isPartial: boolean,
  more: readonly string[] = [],
): Promise<void> {
  context.progress.begin(`bad-targets · ${id}`)
  const out = context.scratch.directory(id)
  const where = bootstrap === null ? [] : ['--bootstrap', bootstrap]
  const command = [join(packageRoot, 'bin/pagelog.cjs'), 'bench', 'load', ...where, '--out', out]
  const args = [...command, ...LOAD, '--batch', '1', ...more]
  const startedMs = performance.now()
  const child = new Child('the benchmark', { command: process.execPath, args, cwd: out })
  const timer = setTimeout(() => child.killNow(), SECONDS_MAX * 1000)
  const { code } = await child.exited
  clearTimeout(timer)
  const seconds = (performance.now() - startedMs) / 1000
  let run: LoadResult['runs'][number] | undefined
  try {
    run = (JSON.parse(readFileSync(join(out, 'result.json'), 'utf8')) as LoadResult).runs[0]
  } catch {
    // It ended without one: the line says so.
  }
  const said = run?.error?.split('\n')[0] ?? 'nothing'
  const hasPart = !isPartial || (run?.acknowledged ?? 0) > 0
  context.progress.end(said)
  context.report({
    id: `bad-target.${id}`,
    pass: code === 1 && message.test(said) && hasPart,
    measured: `ended after ${seconds.toFixed(1)} s with status ${code}, ${run?.acknowledged ?? 0} acknowledged: ${said}`,
    goal: `status 1, the reason, ${isPartial ? 'what came before it' : 'a result'}, within ${SECONDS_MAX} s`,
    how: `pagelog bench load ${args.slice(args.indexOf(LOAD[0]!)).join(' ')}`,
  })
}
