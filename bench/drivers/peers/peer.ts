/** What the drivers ask of another client for Node.js, and where its package is loaded from. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ConsumerSpec, ProducerSpec } from '../protocol.ts'

export interface PeerProducer {
  /** How many records it takes now, in one `send`; the clock is looked at after each. */
  readonly room: number
  /** Resolves when it has room again. */
  ready(): Promise<void>
  /** At most as many as it has room for. */
  send(values: readonly Buffer[]): void
  /** Resolves when all are acknowledged or have failed. */
  flush(): Promise<void>
  readonly delivered: number
  readonly failed: number
  /** Of a delivery that failed. */
  readonly lastError: string | null
  close(): Promise<void>
}

/** Told of the time from the sending of a record to its acknowledgement. */
export type OnLatency = (milliseconds: number) => void

export interface PeerConsumer {
  close(): Promise<void>
}

export interface Reading {
  /** Of every record, as an application reads them. */
  readonly onValue: (value: Buffer) => void
  readonly onError: (error: Error) => void
}

export interface Peer {
  produce(spec: ProducerSpec, onLatency: OnLatency): Promise<PeerProducer>
  /** Resolves when it reads, from the beginning; with groups when it has joined. */
  consume(spec: ConsumerSpec, reading: Reading): Promise<PeerConsumer>
}

/** The module of a package that npm laid in `directory`; untyped, whoever asks states the little of it that is used. */
export async function loadPackage(directory: string, name: string): Promise<unknown> {
  const require = createRequire(join(directory, 'package.json'))
  const { type } = JSON.parse(readFileSync(join(directory, 'node_modules', name, 'package.json'), 'utf8')) as {
    type?: string
  }
  return type === 'module' ? import(pathToFileURL(require.resolve(name)).href) : require(name)
}
