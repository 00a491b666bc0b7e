/** Kafka's own record sets (RecordSets.java): written and read by its classes, for every format and codec. */
import { fileURLToPath } from 'node:url'
import { JavaExchange } from '../java-exchange.ts'

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

/** Keys, values and header values are base64. */
export interface SetRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
}

export interface WriteQuestion {
  readonly magic: 0 | 1 | 2
  readonly codec: string
  readonly level?: number
  readonly baseOffset?: number
  /** -1: create time. */
  readonly logAppendTime?: number
  readonly records: readonly SetRecord[]
}

interface Answer {
  readonly error?: string
  readonly bytes?: string
  readonly codecs?: readonly string[]
  readonly records?: readonly SetRecord[]
}

export class RecordSets extends JavaExchange<Answer> {
  static async start(): Promise<RecordSets> {
    return new RecordSets(await JavaExchange.run(file('../protocol/pom.xml'), file('RecordSets.java')))
  }

  async write(question: WriteQuestion): Promise<Uint8Array> {
    const [answer] = await this.ask([{ do: 'write', ...question }])
    if (answer?.bytes === undefined) throw new Error(answer?.error)
    return new Uint8Array(Buffer.from(answer.bytes, 'base64'))
  }

  async read(bytes: Uint8Array): Promise<{ codecs: readonly string[]; records: readonly SetRecord[] }> {
    const [answer] = await this.ask([{ do: 'read', bytes: Buffer.from(bytes).toString('base64') }])
    if (answer?.records === undefined) throw new Error(answer?.error)
    return { codecs: answer.codecs!, records: answer.records }
  }
}
