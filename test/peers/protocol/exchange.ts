/** Kafka's generated message classes in a JVM of their own (Conformance.java), asked line by line. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { javaClasspath } from '../java.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

export interface Answer {
  /** Of a question that failed. */
  readonly error?: string
  readonly frame?: string
  readonly header?: { readonly [name: string]: Json }
  readonly body?: Json
  readonly oldest?: number
  readonly latest?: number
  readonly errors?: readonly { readonly code: number; readonly name: string; readonly retriable: boolean }[]
}

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export class KafkaMessages {
  readonly #jvm: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #lastWords = ''

  private constructor(jvm: ChildProcessWithoutNullStreams) {
    this.#jvm = jvm
    this.#lines = createInterface({ input: jvm.stdout, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]()
    jvm.stderr.on('data', (text) => {
      this.#lastWords += text
    })
  }

  static async start(): Promise<KafkaMessages> {
    const classpath = await javaClasspath(file('pom.xml'))
    return new KafkaMessages(spawn('java', ['-Xmx256M', '-cp', classpath, file('Conformance.java')]))
  }

  /** The answers to all questions, in their order; they are written and read at the same time. */
  async ask(questions: readonly object[]): Promise<Answer[]> {
    this.#jvm.stdin.write(questions.map((question) => `${JSON.stringify(question)}\n`).join(''))
    const answers: Answer[] = []
    while (answers.length < questions.length) {
      const { done, value } = await this.#lines.next()
      if (done) throw new Error(`the JVM has ended: ${this.#lastWords}`)
      answers.push(JSON.parse(value) as Answer)
    }
    return answers
  }

  close(): void {
    this.#jvm.stdin.end()
  }
}
