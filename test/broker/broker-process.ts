/** The built `pagelog broker` in a process of its own. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const launcher = fileURLToPath(new URL('../../bin/pagelog.cjs', import.meta.url))

export interface BrokerProcess {
  readonly bootstrap: string
  readonly pid: number
  /** All of standard output and standard error so far. */
  output(): string
  errors(): string
  /** Sends the signal and waits for the end; the exit status, or the signal's name. */
  end(signal: NodeJS.Signals): Promise<number | string>
}

export function startProcess(directory: string, args: readonly string[] = []): Promise<BrokerProcess> {
  const command = [launcher, 'broker', '--port', '0', '--data-dir', directory, ...args]
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString()
  })
  child.stderr.on('data', (text: Buffer) => {
    errors += text.toString()
  })
  const ended = new Promise<number | string>((resolve) => {
    child.on('close', (status, signal) => resolve(status ?? signal ?? 'unknown'))
  })
  return new Promise((resolve, reject) => {
    void ended.then((status) => reject(new Error(`the broker ended with ${status}: ${errors}`)))
    child.stdout.on('data', () => {
      const match = /listening on (\S+),/.exec(output) ?? /"host":"([^"]+)","port":(\d+)/.exec(output)
      if (!match) return
      resolve({
        bootstrap: match[2] === undefined ? match[1]! : `${match[1]}:${match[2]}`,
        pid: child.pid!,
        output: () => output,
        errors: () => errors,
        end(signal) {
          child.kill(signal)
          return ended
        },
      })
    })
  })
}
