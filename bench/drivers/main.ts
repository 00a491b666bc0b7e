/** The process of a driver: `node dist/bench/drivers/main.js '<DriverSpec as JSON>'`, started by the harness with an IPC channel. */
import { Channel } from './channel.ts'
import { runConsumer } from './consumer.ts'
import { runEndToEnd } from './end-to-end.ts'
import { runPeerConsumer } from './peer-consumer.ts'
import { runPeerProducer } from './peer-producer.ts'
import { loadPeer } from './peers/index.ts'
import { runProducer } from './producer.ts'
import type { DriverResult, DriverSpec } from './protocol.ts'

async function run(spec: DriverSpec, channel: Channel): Promise<DriverResult> {
  switch (spec.kind) {
    case 'producer':
      if (spec.client !== null) return runPeerProducer(await loadPeer(spec.client), spec, channel)
      return runProducer(spec, channel)
    case 'consumer':
      if (spec.client !== null) return runPeerConsumer(await loadPeer(spec.client), spec, channel)
      return runConsumer(spec, channel)
    case 'end-to-end':
      return runEndToEnd(spec, channel)
  }
}

const channel = new Channel()
try {
  const result = await run(JSON.parse(process.argv[2] ?? '') as DriverSpec, channel)
  // It lives on until the harness ends it: what it used is read once all that were measured together have ended.
  await channel.send({ type: 'result', result })
} catch (error) {
  await channel.send({
    type: 'error',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  })
  process.exit(1)
}
