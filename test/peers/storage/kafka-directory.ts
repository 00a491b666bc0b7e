/** Apache Kafka on a directory that is kept between its starts, and into which partitions may be put while it is down. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { launchKafka, prepareKafka } from '../../../bench/targets/kafka.ts'
import { waitForPort } from '../../../bench/targets/ports.ts'
import type { Target, TargetOptions } from '../../../bench/targets/target.ts'
import { tool } from '../kafka-tools.ts'
import { storageProgram } from './stored-state.ts'

export class KafkaDirectory implements AsyncDisposable {
  readonly #options: TargetOptions
  readonly #prepared: { port: number; properties: string }
  #target: Target | undefined

  private constructor(options: TargetOptions, prepared: { port: number; properties: string }) {
    this.#options = options
    this.#prepared = prepared
  }

  static async prepare(directory: string, overrides: Readonly<Record<string, string>> = {}): Promise<KafkaDirectory> {
    const options = { directory, partitions: 1, overrides }
    return new KafkaDirectory(options, await prepareKafka(options))
  }

  /** The log directory. */
  get path(): string {
    return join(this.#options.directory, 'data')
  }
  get bootstrap(): string {
    return `127.0.0.1:${this.#prepared.port}`
  }

  async start(): Promise<void> {
    const { port, properties } = this.#prepared
    this.#target = await launchKafka(this.#options, port, properties)
    await Promise.race([waitForPort(port, 60_000), this.#target.failure])
  }

  async stop(): Promise<void> {
    await this.#target?.close()
    this.#target = undefined
  }

  async kill(): Promise<void> {
    const target = this.#target!
    process.kill(target.pid, 'SIGKILL')
    await target.failure.catch(() => {})
    this.#target = undefined
  }

  /** Puts a partition's files in the place of those of a topic that Kafka knows; it is down meanwhile. */
  async adopt(files: string, topic: string): Promise<void> {
    const place = join(this.path, `${topic}-0`)
    const identity = await readFile(join(place, 'partition.metadata'))
    await rm(place, { recursive: true })
    await cp(files, place, { recursive: true })
    await writeFile(join(place, 'partition.metadata'), identity)
  }

  /** What Kafka printed that looks like trouble with its logs since it was started last. */
  async complaints(): Promise<string[]> {
    const printed = await readFile(join(this.#options.directory, 'kafka.log'), 'utf8')
    return printed.split('\n').filter((line) => /corrupt|ERROR|truncat/i.test(line))
  }

  /** What a consumer of Kafka's reads, by offset, and where it says that the log ends. */
  async consume(topic: string, isolation: 'read_committed' | 'read_uncommitted'): Promise<Consumed> {
    const output = await tool(storageProgram('Transactions'), ['consume', this.bootstrap, topic, isolation])
    const lines = output.trimEnd().split('\n')
    const end = Number(/^end (\d+)$/.exec(lines.pop()!)![1])
    const records = lines.map((line) => {
      const [, offset, name] = /^(\d+) (.*)$/.exec(line)!
      return { offset: Number(offset), name: name! }
    })
    return { records, end }
  }

  /** Transactions of Kafka's producers, some aborted, one left open: names of records and what became of them. */
  async transact(topic: string, rounds: number, valueBytes: number): Promise<Map<string, string>> {
    const args = ['produce', this.bootstrap, topic, `${rounds}`, `${valueBytes}`]
    const output = await tool(storageProgram('Transactions'), args)
    return new Map(
      output
        .trimEnd()
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

export interface Consumed {
  readonly records: readonly { readonly offset: number; readonly name: string }[]
  readonly end: number
}
