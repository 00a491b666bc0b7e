/**
 * Other languages' clients behind one interface, as programs that are asked in JSON, one object a line:
 *
 *   {"do":"write","bootstrap":"…","topic":"…","codec":"lz4","level":9,"records":[…]}  ->  {"written":3}
 *   {"do":"read","bootstrap":"…","topic":"…","count":3}                               ->  {"records":[…]}
 *
 * of partition 0; a record is {"offset","timestamp","key","value","headers":[["key","value"]]}, bytes in base64, null is
 * null. What fails is answered {"error":"…"}. Programs and their libraries are laid in the cache outside the repository on
 * first use, at the versions of go.mod and requirements.txt.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runToEnd } from '../../../bench/process/children.ts'
import type { CodecName } from '../../../src/record/index.ts'
import type { SetRecord } from '../compression/record-sets.ts'
import { Exchange } from '../exchange.ts'
import { JavaExchange } from '../java-exchange.ts'
import { made } from '../made.ts'

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export interface Writing {
  readonly bootstrap: string
  readonly topic: string
  readonly codec: CodecName
  readonly level?: number | undefined
  /** Their offsets are the broker's business. */
  readonly records: readonly SetRecord[]
}

export interface Reading {
  readonly bootstrap: string
  readonly topic: string
  readonly count: number
}

interface Answer {
  readonly error?: string
  readonly written?: number
  readonly records?: readonly SetRecord[]
}

export class PeerClient extends Exchange<Answer> {
  async write(writing: Writing): Promise<void> {
    const [answer] = await this.ask([{ do: 'write', ...writing }])
    if (answer?.written !== writing.records.length) throw new Error(answer?.error ?? 'not all was written')
  }

  async read(reading: Reading): Promise<readonly SetRecord[]> {
    const [answer] = await this.ask([{ do: 'read', ...reading }])
    if (answer?.records === undefined) throw new Error(answer?.error)
    return answer.records
  }
}

/** The client of kafka-clients, as pinned for the other exchanges with Java. */
export async function javaClient(): Promise<PeerClient> {
  return new PeerClient(await JavaExchange.run(file('../protocol/pom.xml'), file('Client.java')))
}

/** franz-go. */
export async function goClient(): Promise<PeerClient> {
  const sources = ['main.go', 'go.mod', 'go.sum'].map((name) => file(`go/${name}`))
  const directory = await made('go-client', sources, async (fresh) => {
    for (const path of sources) copyFileSync(path, join(fresh, path.slice(path.lastIndexOf('/') + 1)))
    await runToEnd('go build (franz-go)', { command: 'go', args: ['build', '-o', 'client', '.'], cwd: fresh })
  })
  return new PeerClient(spawn(join(directory, 'client')))
}

/** `kafka-python`, or librdkafka by the package confluent-kafka. */
export async function pythonClient(name: 'kafka-python' | 'librdkafka'): Promise<PeerClient> {
  const requirements = file('python/requirements.txt')
  const directory = await made('python-clients', [requirements], async (fresh) => {
    const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore']
    const args = ['-m', 'pip', 'install', ...quiet, '--only-binary=:all:', '--target', fresh, '-r', requirements]
    await runToEnd('pip (fetching the clients of Python)', { command: 'python3', args })
  })
  const env = { ...process.env, PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1' }
  return new PeerClient(spawn('python3', [file('python/client.py'), name], { env }) as ChildProcessWithoutNullStreams)
}
