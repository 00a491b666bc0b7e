/** A process on one of the hosts that talks over connections as a test says, and what it has heard (talker.mjs). */
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { Child } from '../../../bench/process/children.ts'
import type { Endpoint, Hosts } from './hosts.ts'

const program = fileURLToPath(new URL('./talker.mjs', import.meta.url))

interface Heard {
  readonly event: 'listening' | 'accepted' | 'got' | 'ended' | 'reset' | 'poured'
  readonly name: string
  readonly text: string
  readonly poured: number
  readonly bytes: number
}

/** One end of a connection. */
export interface Talk {
  text: string
  /** Bytes of those that were poured, here and from there. */
  sent: number
  got: number
  isOver: boolean
}

/** On a busy machine too, and when TCP has waited before it sends again. */
export function soon<T>(read: () => T): ReturnType<typeof expect.poll<T>> {
  return expect.poll(read, { timeout: 15_000, interval: 2 })
}

const NOTHING: Talk = { text: '', sent: 0, got: 0, isOver: false }

export class Talker {
  readonly #child: Child
  readonly #talks = new Map<string, Talk>()
  #listens = false

  private constructor(child: Child) {
    this.#child = child
    child.process.on('message', (heard) => this.#take(heard as Heard))
  }

  /** `host`: undefined is where the tests are. */
  static on(hosts: Hosts, host: string | undefined): Talker {
    const prefix = host === undefined ? [] : hosts.prefix(host)
    const [command = process.execPath, ...args] = [...prefix, process.execPath, program]
    return new Talker(new Child(`talker on ${host}`, { command, args, ipc: true }))
  }

  async listen(listening: Endpoint): Promise<void> {
    this.#tell({ do: 'listen', ...listening })
    await soon(() => this.#listens).toBe(true)
  }

  connect(name: string, { host, port }: Endpoint): void {
    this.#tell({ do: 'connect', name, host, port })
  }

  send(name: string, text: string): void {
    this.#tell({ do: 'send', name, text })
  }

  pour(name: string, bytes: number): void {
    this.#tell({ do: 'pour', name, bytes })
  }

  end(name: string): void {
    this.#tell({ do: 'end', name })
  }

  talk(name: string): Talk {
    return this.#talks.get(name) ?? NOTHING
  }

  get talks(): readonly string[] {
    return [...this.#talks.keys()]
  }

  async kill(): Promise<void> {
    this.#child.killNow()
    await this.#child.exited
  }

  #take(heard: Heard): void {
    if (heard.event === 'listening') {
      this.#listens = true
      return
    }
    const talk = this.#talks.get(heard.name) ?? { ...NOTHING }
    this.#talks.set(heard.name, talk)
    if (heard.event === 'got') {
      talk.text += heard.text
      talk.got += heard.poured
    } else if (heard.event === 'poured') talk.sent = heard.bytes
    else if (heard.event !== 'accepted') talk.isOver = true
  }

  #tell(message: object): void {
    this.#child.process.send(message)
  }
}
