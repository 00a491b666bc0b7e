/** A Java program that answers questions, one JSON object a line each way, in a JVM of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { mavenClasspath } from '../../bench/peers/java.ts'

export class JavaExchange<Answer> {
  readonly #jvm: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #lastWords = ''

  protected constructor(jvm: ChildProcessWithoutNullStreams) {
    this.#jvm = jvm
    this.#lines = createInterface({ input: jvm.stdout, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]()
    jvm.stderr.on('data', (text) => {
      this.#lastWords += text
    })
  }

  /** Runs a source file with the jars of a pom. */
  protected static async run(pomPath: string, sourcePath: string): Promise<ChildProcessWithoutNullStreams> {
    const classpath = await mavenClasspath(pomPath)
    return spawn('java', ['-Xmx256M', '-cp', classpath, sourcePath])
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
