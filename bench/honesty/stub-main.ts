/**
 * The stub broker as a process of its own: `node stub-main.js '<StubSpec as JSON>'` prints `{"port":N}`. With an IPC
 * channel it hears `{ type: 'stop', milliseconds }` and `{ type: 'held' }`, which it answers with the median of what it
 * held by its own clock and begins anew; it ends when its starter is gone.
 */
import { nodeEnv } from '../../src/env/index.ts'
import { nodePace } from '../load/pace.ts'
import { StubBroker, type StubOptions } from './stub-broker.ts'

export type StubSpec = Omit<StubOptions, 'env' | 'pace'>
export type ToStub = { readonly type: 'stop'; readonly milliseconds: number } | { readonly type: 'held' }

const spec = JSON.parse(process.argv[2] ?? '') as StubSpec
const broker = await StubBroker.start({ ...spec, env: nodeEnv(), pace: nodePace('precise') })
process.on('message', (message: ToStub) => {
  if (message.type === 'stop') broker.stop(message.milliseconds)
  else {
    process.send?.({ heldMs: broker.held.summary()?.p50 ?? null })
    broker.held.reset()
  }
})
process.once('disconnect', () => process.exit(1))
process.once('SIGTERM', () => process.exit(0))
process.stdout.write(`${JSON.stringify({ port: broker.port })}\n`)
