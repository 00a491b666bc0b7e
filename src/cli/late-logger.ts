/**
 * The command's logger: pino, imported only once the broker serves, because loading it takes longer than starting the
 * broker. Lines before that are kept and written then; if the process ends first they are written as plain JSON. Logs
 * go to standard error, so that standard output is left to what other programs read.
 */
import { writeSync } from 'node:fs'
import type { Logger } from '../base/index.ts'

type Level = 'debug' | 'info' | 'warn' | 'error'

interface Line {
  readonly timeMs: number
  readonly level: Level
  readonly fields: object
  readonly message: string
}

/** pino's numbers. */
const levelNumbers: Readonly<Record<Level, number>> = { debug: 20, info: 30, warn: 40, error: 50 }

export class LateLogger implements Logger {
  #early: Line[] = []
  #target: Logger | undefined
  #flush: (() => void) | undefined

  constructor() {
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
    const destination = pino.destination({ fd: 2, sync: false })
    this.#target = pino({ base: null, serializers: { error: pino.stdSerializers.err } }, destination)
    this.#flush = () => destination.flushSync()
    for (const { timeMs, level, fields, message } of this.#early) {
      // A second `time` overrules pino's own for whoever parses the line.
      this.#target[level]({ ...fields, time: timeMs }, message)
    }
    this.#early = []
  }

  /** Writes everything that is still in memory. */
  flush(): void {
    this.#flush?.()
    for (const { timeMs, level, fields, message } of this.#early) {
      const line = { level: levelNumbers[level], time: timeMs, ...fields, msg: message }
      const text = JSON.stringify(line, (_, value) =>
        value instanceof Error ? { message: value.message, stack: value.stack } : value,
      )
      writeSync(2, `${text}\n`)
    }
    this.#early = []
  }

  #line(level: Level, fields: object, message: string): void {
    if (this.#target) this.#target[level](fields, message)
    else this.#early.push({ timeMs: Date.now(), level, fields, message })
  }
}
