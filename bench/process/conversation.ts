/** What the process of a driver says over its channel, by the kind of message: each kind but progress comes once. */
import type { Child } from './children.ts'

/** What every driver may say. */
export type Spoken = { readonly type: string } | ErrorMessage | ProgressMessage
interface ErrorMessage {
  readonly type: 'error'
  readonly message: string
}
interface ProgressMessage {
  readonly type: 'progress'
  readonly records: number
}

/** `said(type)` resolves with the message of that type; it rejects when the process says that it failed, or ends. */
export function converse<Message extends Spoken>(
  child: Child,
  onProgress: (records: number) => void,
): (type: Message['type']) => Promise<Message> {
  const hearers = new Map<string, (message: Message) => void>()
  const reported = new Promise<never>((_, reject) => {
    hearers.set('error', (message) => reject(new Error('message' in message ? message.message : 'failed')))
  })
  const failure = child.failure()
  child.process.on('message', (message: Message) => {
    if (message.type === 'progress') onProgress((message as ProgressMessage).records)
    else hearers.get(message.type)?.(message)
  })
  return (type) => {
    const heard = new Promise<Message>((resolve) => hearers.set(type, resolve))
    // The driver's own words come before its exit code says that it failed.
    const promise = Promise.race([heard, reported, failure])
    promise.catch(() => {})
    return promise
  }
}
