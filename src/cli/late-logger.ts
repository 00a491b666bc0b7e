/**
 * The command's logger: pino, imported only once the broker serves, because loading it takes longer than starting the
 * broker. Lines before that are kept and written then; if the process ends first they are written as plain JSON. Logs
 * go to standard error, so that standard output is left to what other programs read.
 */
import type { Logger } from '../base/index.ts'
import { LogDestination } from './log-destination.ts'

type Level = 'debug' | 'info' | 'warn' | 'error'

interface Line {
  readonly timeMs: number
  readonly level: Level
  readonly fields: object
  readonly message: string
}

/** pino's numbers. */
const levelNumbers: Readonly<Record<Level, number>> = { debug: 20, info: 30, warn: 40, error: 50 }

/** Before pino is loaded; the first ones say most. */
const EARLY_LINES_MAX = 10_000

export class LateLogger implements Logger {
  readonly #destination: LogDestination
  #early: Line[] = []
  #target: Logger | undefined

  constructor(destination = new LogDestination()) {
    this.#destination = destination
    process.on('exit', () => this.flush())
  }

  debug(fields: object, message: string): void {
    this.#target?.debug(fields, message)
  }

  info(fields: object, message: string): void {
    this.#line('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#line('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#line('error', fields, message)
  }

  /** Loads pino and hands it what was kept. */
  async load(): Promise<void> {
    const { pino } = await import('pino')
    this.#target = pino({ base: null, serializers: { error: pino.stdSerializers.err } }, this.#destination)
    for (const { timeMs, level, fields, message } of this.#early) {
      // A second `time` overrules pino's own for whoever parses the line.
      this.#target[level]({ ...fields, time: timeMs }, message)
    }
    this.#early = []
  }

  /** Writes everything that is still in memory. */
  flush(): void {
    const early = this.#early.map(({ timeMs, level, fields, message }) => {
      const line = { level: levelNumbers[level], time: timeMs, ...fields, msg: message }
      const text = JSON.stringify(line, (_, value) =>
        value instanceof Error ? { message: value.message, stack: value.stack } : value,
      )
      return `${text}\n`
    })
    this.#early = []
    this.#destination.flushSync(early.join(''))
  }

  #line(level: Level, fields: object, message: string): void {
    if (this.#target) this.#target[level](fields, message)
    else if (this.#early.length < EARLY_LINES_MAX) this.#early.push({ timeMs: Date.now(), level, fields, message })
  }
}
