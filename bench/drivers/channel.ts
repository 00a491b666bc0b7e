/** The driver's end of the IPC channel. A driver whose harness is gone ends at once. */
import { withResolvers } from '../process/resolvers.ts'
import type { FromDriver, ToDriver } from './protocol.ts'

export class Channel {
  readonly started: Promise<void>
  readonly measure: Promise<void>
  readonly measured: Promise<void>
  readonly finished: Promise<number>

  constructor() {
    const start = withResolvers<void>()
    const measure = withResolvers<void>()
    const measured = withResolvers<void>()
    const finish = withResolvers<number>()
    this.started = start.promise
    this.measure = measure.promise
    this.measured = measured.promise
    this.finished = finish.promise
    process.on('message', (message: ToDriver) => {
      if (message.type === 'finish') finish.resolve(message.records)
      else if (message.type === 'start') start.resolve()
      else if (message.type === 'measure') measure.resolve()
      else measured.resolve()
    })
    process.once('disconnect', () => process.exit(1))
  }

  send(message: FromDriver): Promise<void> {
    return new Promise((resolve) => {
      if (process.send === undefined) resolve()
      else process.send(message, undefined, {}, () => resolve())
    })
  }
}
