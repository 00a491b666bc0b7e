/** Compression: at least as fast as others do it, off the event loop, bounded, and readable by everybody. */
import type { GoalArea } from '../goal.ts'
import { bombsPart } from './bombs.ts'
import { consumerPart } from './consumer.ts'
import { interopPart } from './interop.ts'
import { loopPart, producerPart } from './producer.ts'

export const compression: GoalArea = {
  name: 'compression',
  parts: [
    { name: 'producer', title: 'lz4 on JSON events against the Java producer', run: producerPart },
    { name: 'event-loop', title: 'the producer’s event loop while 1 MiB batches are compressed', run: loopPart },
    { name: 'consumer', title: 'lz4 against @platformatic/kafka, Node 24', run: consumerPart },
    { name: 'bombs', title: 'memory of broker and consumer for what becomes huge', run: bombsPart },
    { name: 'interop', title: 'other clients, each codec, both directions: by tests', run: interopPart },
  ],
}
