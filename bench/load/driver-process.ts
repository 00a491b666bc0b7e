/** The harness's end of a load's process. */
import type { Place } from '../netns/placement.ts'
import { Child } from '../process/children.ts'
import { converse } from '../process/conversation.ts'
import { builtFile } from '../process/package-root.ts'
import type { FromLoadDriver, LoadDriverResult, LoadSpec, ToLoadDriver } from './protocol.ts'

export class LoadDriver<Result extends LoadDriverResult = LoadDriverResult> {
  readonly role: string
  readonly ready: Promise<void>
  readonly measuring: Promise<void>
  readonly result: Promise<Result>
  readonly #child: Child

  constructor(role: string, spec: LoadSpec, place: Place, onProgress: (records: number) => void = () => {}) {
    this.role = role
    const started = place.wrap(process.execPath, [builtFile('bench/load/driver.ts'), JSON.stringify(spec)])
    const child = new Child(`the ${role}`, { ...started, ipc: true })
    this.#child = child
    const said = converse<FromLoadDriver>(child, onProgress)
    this.ready = said('ready').then(() => {})
    this.measuring = said('measuring').then(() => {})
    this.result = said('result').then((message) => (message as { result: LoadDriverResult }).result as Result)
    for (const promise of [this.ready, this.measuring, this.result]) promise.catch(() => {})
  }

  get pid(): number {
    return this.#child.pid
  }

  tell(message: ToLoadDriver): void {
    if (this.#child.process.connected) this.#child.process.send(message, () => {})
  }

  async end(): Promise<void> {
    await this.#child.end(1_000)
  }
}
