/** An etcd of one or three members on loopback, with directories of its own; each member is ended by its id. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from '../../bench/process/children.ts'
import { freePorts } from '../../bench/targets/ports.ts'
import { etcdProgram, versionOf } from './etcd-program.ts'

export interface KeyFiles {
  readonly cert: string
  readonly key: string
}

export interface EtcdOptions {
  readonly members?: 1 | 3
  /** Files in PEM; clients must have a certificate of this CA too. */
  readonly tls?: { readonly ca: string; readonly server: KeyFiles; readonly client: KeyFiles }
  readonly flags?: readonly string[]
  /** Where it listens, 127.0.0.1 when it is not said, and what a command begins with to run there. */
  readonly host?: string
  readonly prefix?: readonly string[]
}

const READY_MS = 60_000

export class EtcdMember {
  readonly endpoint: { readonly host: string; readonly port: number }
  readonly directory: string
  readonly #start: (directory: string) => Child
  readonly #isReady: () => Promise<boolean>
  #child: Child

  constructor(
    endpoint: { readonly host: string; readonly port: number },
    directory: string,
    start: (directory: string) => Child,
    isReady: () => Promise<boolean>,
  ) {
    this.endpoint = endpoint
    this.directory = directory
    this.#start = start
    this.#isReady = isReady
    this.#child = start(directory)
  }

  get pid(): number {
    return this.#child.pid
  }

  async ready(): Promise<void> {
    const deadline = performance.now() + READY_MS
    while (!(await this.#isReady())) {
      if (this.#child.exit !== undefined || performance.now() > deadline) {
        throw new Error(`etcd did not become ready: ${this.#child.tail}`)
      }
      await sleep(20)
    }
  }

  /** As `kill -9` does. */
  async kill(): Promise<void> {
    this.#child.killNow()
    await this.#child.exited
  }

  async end(): Promise<void> {
    await this.#child.end()
  }

  /** Starts it again, on what it had, or on nothing. */
  async startAgain(how: { readonly empty?: boolean } = {}): Promise<void> {
    if (how.empty) rmSync(this.directory, { recursive: true, force: true })
    this.#child = this.#start(this.directory)
    await this.ready()
  }
}

export class TestEtcd {
  readonly members: readonly EtcdMember[]
  readonly #scratch: string

  private constructor(members: readonly EtcdMember[], scratch: string) {
    this.members = members
    this.#scratch = scratch
  }

  static async start(options: EtcdOptions = {}): Promise<TestEtcd> {
    const { members: count = 1, tls, flags = [], host = '127.0.0.1', prefix = [] } = options
    const program = await etcdProgram()
    const progress = await progressFlag(program)
    const scratch = mkdtempSync(join(tmpdir(), 'pagelog-etcd-'))
    const ports = await freePorts(2 * count)
    const scheme = tls ? 'https' : 'http'
    const peerUrl = (i: number): string => `http://${host}:${ports[count + i]}`
    const cluster = Array.from({ length: count }, (_, i) => `m${i}=${peerUrl(i)}`).join(',')
    const members = Array.from({ length: count }, (_, i) => {
      const url = `${scheme}://${host}:${ports[i]}`
      const args = [
        ['--name', `m${i}`, '--listen-client-urls', url, '--advertise-client-urls', url],
        ['--listen-peer-urls', peerUrl(i), '--initial-advertise-peer-urls', peerUrl(i), '--initial-cluster', cluster],
        ['--unsafe-no-fsync', '--log-level', 'error', `${progress}=200ms`],
        tls
          ? [
              '--trusted-ca-file',
              tls.ca,
              '--cert-file',
              tls.server.cert,
              '--key-file',
              tls.server.key,
              '--client-cert-auth',
            ]
          : [],
        flags,
      ].flat()
      const start = (directory: string): Child => {
        const [command = program, ...rest] = [...prefix, program, ...args, '--data-dir', directory]
        return new Child('etcd', { command, args: rest, guarded: true })
      }
      const endpoint = { host, port: ports[i]! }
      return new EtcdMember(endpoint, join(scratch, `m${i}`), start, () => isHealthy(url, tls))
    })
    const etcd = new TestEtcd(members, scratch)
    try {
      await Promise.all(members.map((member) => member.ready()))
    } catch (error) {
      await etcd.close()
      throw error
    }
    return etcd
  }

  get endpoints(): readonly { readonly host: string; readonly port: number }[] {
    return this.members.map((member) => member.endpoint)
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()))
    rmSync(this.#scratch, { recursive: true, force: true })
  }
}

async function progressFlag(program: string): Promise<string> {
  const [major = 3, minor = 6] = (await versionOf(program)) ?? []
  const isOld = major === 3 && minor < 6
  return isOld ? '--experimental-watch-progress-notify-interval' : '--watch-progress-notify-interval'
}

function isHealthy(url: string, tls: EtcdOptions['tls']): Promise<boolean> {
  return new Promise((resolve) => {
    const read = (path: string): Buffer => readFileSync(path)
    const ask = tls
      ? getHttps(`${url}/health`, { ca: read(tls.ca), cert: read(tls.client.cert), key: read(tls.client.key) })
      : getHttp(`${url}/health`)
    ask.setTimeout(2000, () => ask.destroy())
    ask.on('error', () => resolve(false))
    ask.on('response', (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
  })
}
