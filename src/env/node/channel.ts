/** Named channels of node:diagnostics_channel: whoever watches subscribes by name, and nobody pays while none does. */
import { channel } from 'node:diagnostics_channel'

export interface Channel<T> {
  readonly hasSubscribers: boolean
  /** Calls the subscribers now; what they throw is theirs. */
  publish(message: T): void
}

export function openChannel<T>(name: string): Channel<T> {
  return channel(name)
}
