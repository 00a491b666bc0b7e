/** A program in another language that answers questions, one JSON object a line each way, in a process of its own. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'

export class Exchange<Answer> {
  readonly #program: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #lastWords = ''

  constructor(program: ChildProcessWithoutNullStreams) {
    this.#program = program
    this.#lines = createInterface({ input: program.stdout, crlfDelay: Number.POSITIVE_INFINITY })[
      Symbol.asyncIterator
    ]()
    program.stderr.on('data', (text) => {
      this.#lastWords = (this.#lastWords + text).slice(-4_000)
    })
    for (const part of [program, program.stdin]) {
      part.on('error', (error) => {
        this.#lastWords += error.message
      })
    }
  }

  /** The answers to all questions, in their order; they are written and read at the same time. */
  async ask(questions: readonly object[]): Promise<Answer[]> {
    this.#program.stdin.write(questions.map((question) => `${JSON.stringify(question)}\n`).join(''))
    const answers: Answer[] = []
    while (answers.length < questions.length) {
      const { done, value } = await this.#lines.next()
      if (done) throw new Error(`the program has ended: ${this.#lastWords}`)
      answers.push(JSON.parse(value) as Answer)
    }
    return answers
  }

  close(): void {
    this.#program.stdin.end()
  }
}
