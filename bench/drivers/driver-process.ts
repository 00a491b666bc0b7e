/** The harness's end of a driver process. */
import { nextClientPlace } from '../netns/namespaces.ts'
import { Child } from '../process/children.ts'
import { converse } from '../process/conversation.ts'
import { builtFile } from '../process/package-root.ts'
import { fromRaw, librdkafkaArgs, type RawResult } from './librdkafka.ts'
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
    const [program, args] = programOf(spec)
    // Each in a namespace of its own where there are any.
    const started = nextClientPlace().wrap(program, args)
    const child = new Child(`the ${this.role}`, { ...started, ipc: true })
    this.#child = child
    const said = converse<FromDriver>(child, onProgress)
    this.ready = said('ready').then(() => {})
    this.measuring = said('measuring').then(() => {})
    this.measured = said('measured').then(() => {})
    this.result = said('result').then((message) => {
      const { result } = message as { result: DriverResult | RawResult }
      return 'readings' in result ? fromRaw(result) : result
    })
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

/** Another client may need another node than ours, or be a program itself. */
function programOf(spec: DriverSpec): [program: string, args: string[]] {
  const inNode = [builtFile('bench/drivers/main.ts'), JSON.stringify(spec)]
  if (spec.kind === 'end-to-end' || spec.client === null) return [process.execPath, inNode]
  const { name, program } = spec.client
  return [program, name === 'librdkafka' ? librdkafkaArgs(spec) : inNode]
}
