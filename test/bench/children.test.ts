import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Child, runToEnd } from '../../bench/process/children.ts'
import { makeScratch } from '../../bench/process/scratch.ts'
import { startTimeOf } from '../../bench/process/start-time.ts'

const node = (script: string) => ({ command: process.execPath, args: ['-e', script] })
const SLEEP = 'setInterval(() => {}, 1000); console.log("up")'

describe('processes of a run', () => {
  test('lines come whole, and the exit code says how it went', async () => {
    const lines: string[] = []
    const child = new Child('a', { ...node('console.log("one\\ntwo"); process.exit(3)'), onLine: (l) => lines.push(l) })
    expect(await child.exited).toEqual({ code: 3, signal: null })
    expect(lines).toEqual(['one', 'two'])
  })

  test('one that dies early is reported with its last words', async () => {
    const child = new Child('the broker', node('console.error("no room"); process.exit(1)'))
    await expect(child.failure()).rejects.toThrow('the broker ended (exit code 1):\nno room')
  })

  test('a command that does not exist is a failure, not a hang', async () => {
    await expect(runToEnd('x', { command: '/nonexistent/command', args: [] })).rejects.toThrow('exit code 127')
  })

  test.runIf(existsSync('/proc/self/stat'))(
    'one that ended counts as gone before its parent has heard of it',
    async () => {
      // What became of `true` nobody asks: sleep knows nothing of it.
      let onPid = (_line: string) => {}
      const child = new Child('the parent', {
        ...{ command: 'sh', args: ['-c', 'true & echo $!; exec sleep 60'] },
        onLine: (line) => onPid(line),
      })
      const pid = await new Promise<string>((resolve) => {
        onPid = resolve
      })
      await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'latin1')).toContain(') Z ')
      expect(startTimeOf(Number(pid))).toBeUndefined()
      await child.end(0)
    },
  )

  test('one that ignores SIGTERM is killed after its grace', async () => {
    const child = new Child('deaf', {
      ...node(`process.on("SIGTERM", () => {}); ${SLEEP}`),
      onLine: () => onUp(),
    })
    let onUp = () => {}
    await new Promise<void>((resolve) => {
      onUp = resolve
    })
    expect(await child.end(50)).toEqual({ code: null, signal: 'SIGKILL' })
    expect(await child.end()).toEqual({ code: null, signal: 'SIGKILL' })
  })

  test('an abort ends what runs', async () => {
    const controller = new AbortController()
    const running = runToEnd('sleeper', node(SLEEP), controller.signal)
    controller.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })
})

describe('scratch directory', () => {
  let parent = ''
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'pagelog-scratch-test-'))
  })
  afterEach(() => rmSync(parent, { recursive: true, force: true }))

  test('is removed with all that is in it', () => {
    const scratch = makeScratch(parent)
    writeFileSync(join(scratch.directory('data'), 'file'), 'x')
    expect(scratch.directory('data')).not.toBe(scratch.directory('data'))
    scratch.remove()
    expect(readdirSync(parent)).toEqual([])
  })

  test('what a killed run left is cleared by the next: its processes by id and start time, its directory', async () => {
    const leftover = new Child('leftover', node(SLEEP))
    const other = makeScratch(parent)
    other.remember(leftover.pid)
    // The owner is gone: no process has this number, or another one has it now, such as we.
    const gone = [join(parent, 'pagelog-bench-4194305-77-0'), join(parent, `pagelog-bench-${process.pid}-77-0`)]
    for (const directory of gone) {
      mkdirSync(directory)
      writeFileSync(join(directory, 'children'), `${leftover.pid} 1\nnonsense\n`)
    }
    makeScratch(parent)
    expect(gone.filter((directory) => existsSync(directory))).toEqual([])
    // Another process with that number (its start time differs) was left alone, as was the living owner's directory.
    expect(leftover.exit).toBeUndefined()
    expect(existsSync(other.path)).toBe(true)
    await leftover.end()
  })
})
