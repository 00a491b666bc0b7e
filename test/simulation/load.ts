/**
 * Clients of a simulated cluster that keep a history: each producer sends values of its own at a pace, each consumer
 * reads one partition. What the world does to them, they go on.
 */
import type { Logger } from '../../src/base/index.ts'
import {
  type Bootstrap,
  type ConsumedBatch,
  Consumer,
  type ConsumerOptions,
  Producer,
  type ProducerOptions,
} from '../../src/client/index.ts'
import type { Env } from '../../src/env/index.ts'
import type { History, Violation } from './history.ts'

export interface LoadOptions {
  readonly env: Env
  readonly bootstrap: Bootstrap
  readonly history: History
  readonly logger?: Logger
}

interface Target {
  readonly topic: string
  readonly partition: number
  /** The topic's name in the history. */
  readonly told: string
}

/** A consumer that reads for as long as the load goes on. */
interface Reader {
  readonly name: string
  /** As the history calls it. */
  readonly partition: string
  nextOffset: number
}

interface Failure {
  /** The producer or consumer, by its name. */
  readonly who: string
  readonly error: unknown
}

const decoder = new TextDecoder()
/** Values sent at once. */
const BURST_MAX = 4

export class Load {
  readonly #options: LoadOptions
  readonly #producers: Producer[] = []
  readonly #consumers: Consumer[] = []
  readonly #stops: (() => void)[] = []
  readonly #readers: Reader[] = []
  #values = 0
  #isStopped = false
  /** Sends that were neither acknowledged nor given up. */
  open = 0
  /** What became of those that were given up, and of consumers that have ended. */
  readonly failures: Failure[] = []
  /** Records read by all consumers. */
  records = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  get errors(): unknown[] {
    return this.failures.map(({ error }) => error)
  }

  /**
   * Sends a few values to the partitions, in turn, every `everyMs`. The result ends that, and resolves when nothing of it is
   * on its way. `told` is the topic's name in the history.
   */
  produce(
    name: string,
    topic: string,
    partitions: number,
    everyMs: number,
    options: Partial<ProducerOptions> = {},
    told = topic,
  ): () => Promise<void> {
    const { env, bootstrap, logger } = this.#options
    const producer = new Producer({ bootstrap, env, lingerMs: 0, ...(logger ? { logger } : {}), ...options })
    this.#producers.push(producer)
    let count = 0
    const timer = env.clock.every(everyMs, () => {
      // One that began when all the others had stopped.
      if (this.#isStopped) return
      for (let left = 1 + Math.floor(env.random.fraction() * BURST_MAX); left > 0; left--) {
        this.#send(producer, name, { topic, partition: count++ % partitions, told })
      }
    })
    const stop = (): void => timer.cancel()
    this.#stops.push(stop)
    return async () => {
      stop()
      await producer.close()
    }
  }

  /** Reads a partition from its beginning, for as long as the load goes on. */
  consume(name: string, topic: string, partition: number, options: Partial<ConsumerOptions> = {}): void {
    const reader: Reader = { name, partition: `${topic}-${partition}`, nextOffset: 0 }
    this.#readers.push(reader)
    const goesOn = (nextOffset: number): boolean => {
      reader.nextOffset = nextOffset
      return false
    }
    void this.#read(name, { topic, partition, told: topic }, options, goesOn).catch((error: unknown) =>
      this.failures.push({ who: name, error }),
    )
  }

  /** Consumers that have not read all before these ends, by partition; none is what there should be some time after. */
  behind(ends: ReadonlyMap<string, number>): Violation[] {
    const stuck = this.#readers.filter(({ partition, nextOffset }) => nextOffset < (ends.get(partition) ?? 0))
    return stuck.map(({ name, partition, nextOffset }) => {
      const text = `${name} stands at offset ${nextOffset}, the end is ${ends.get(partition)}`
      return { verdict: 'stuck', partition, text }
    })
  }

  /** Reads a partition from its beginning until `isDone` of the next offset, then resolves. */
  async readUntil(
    name: string,
    topic: string,
    partition: number,
    isDone: (nextOffset: number) => boolean,
    told = topic,
  ): Promise<void> {
    await this.#read(name, { topic, partition, told }, {}, isDone)
  }

  /** Sends nothing more. */
  stopSending(): void {
    this.#isStopped = true
    for (const stop of this.#stops.splice(0)) stop()
  }

  async close(): Promise<void> {
    this.stopSending()
    await Promise.all(this.#producers.map((producer) => producer.close()))
    await Promise.all(this.#consumers.map((consumer) => consumer.close()))
  }

  #send(producer: Producer, name: string, { topic, partition, told }: Target): void {
    const { history } = this.#options
    if (!producer.hasRoom) return
    const value = `${name}.${this.#values++}`
    const send = history.send(name, `${told}-${partition}`, value)
    this.open++
    producer.send({ topic, partition, value }).then(
      ({ offset }) => {
        this.open--
        history.acked(send, offset)
      },
      // Whatever the error says, an earlier try may have arrived.
      (error: unknown) => {
        this.open--
        this.failures.push({ who: name, error })
      },
    )
  }

  async #read(
    name: string,
    { topic, partition, told }: Target,
    options: Partial<ConsumerOptions>,
    isDone: (nextOffset: number) => boolean,
  ): Promise<void> {
    const { env, bootstrap, history, logger } = this.#options
    const consumer = new Consumer({ bootstrap, env, ...(logger ? { logger } : {}), ...options })
    this.#consumers.push(consumer)
    const tell = history.reader(name, `${told}-${partition}`)
    consumer.assign([{ topic, partition, offset: 'beginning' }])
    if (isDone(0)) return
    for await (const batch of consumer) {
      this.records += tellAll(batch, tell)
      if (isDone(batch.lastOffset + 1)) return
    }
  }
}

function tellAll(batch: ConsumedBatch, tell: (offset: number, value: string) => void): number {
  let count = 0
  for (const { offset, value } of batch) {
    tell(offset, decoder.decode(value ?? new Uint8Array()))
    count++
  }
  return count
}
