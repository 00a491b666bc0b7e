/** The harness's end of a driver process. */
import { nextClientPlace } from '../netns/namespaces.ts'
import { Child } from '../process/children.ts'
import { converse } from '../process/conversation.ts'
import { builtFile } from '../process/package-root.ts'
import type { DriverResult, DriverSpec, FromDriver, ToDriver } from './protocol.ts'

export class DriverProcess {
  /** In the result: numbered where there are several of a kind. */
  readonly role: string
  readonly ready: Promise<void>
  readonly measuring: Promise<void>
  readonly measured: Promise<void>
  readonly result: Promise<DriverResult>
  readonly #child: Child

  constructor(spec: DriverSpec, onProgress: (records: number) => void, number?: number) {
    const kind = spec.kind === 'end-to-end' ? 'producer and consumer' : spec.kind
    this.role = number === undefined ? kind : `${kind} ${number}`
    const args = [builtFile('bench/drivers/main.ts'), JSON.stringify(spec)]
    // Each in a namespace of its own where there are any.
    const started = nextClientPlace().wrap(nodeOf(spec), args)
    const child = new Child(`the ${this.role}`, { ...started, ipc: true })
    this.#child = child
    const said = converse<FromDriver>(child, onProgress)
    this.ready = said('ready').then(() => {})
    this.measuring = said('measuring').then(() => {})
    this.measured = said('measured').then(() => {})
    this.result = said('result').then((message) => (message as { result: DriverResult }).result)
    for (const promise of [this.ready, this.measuring, this.measured, this.result]) promise.catch(() => {})
  }

  get pid(): number {
    return this.#child.pid
  }

  tell(message: ToDriver): void {
    this.#child.process.send(message)
  }

  async end(): Promise<void> {
    await this.#child.end(2_000)
  }
}

/** Another client may need another one than ours. */
function nodeOf(spec: DriverSpec): string {
  return spec.kind === 'end-to-end' ? process.execPath : (spec.client?.node ?? process.execPath)
}
