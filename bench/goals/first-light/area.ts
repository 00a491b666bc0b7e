/** First light: one broker, one producer, one consumer, at the machine's speed. */
import type { GoalArea } from '../goal.ts'
import { badInput } from './bad-input.ts'
import { coldConsumer } from './cold-consumer.ts'
import { profile } from './profile.ts'
import { startAndMemory } from './start-and-memory.ts'
import { consumer, latency, mixed, producer } from './tests.ts'

export const firstLight: GoalArea = {
  name: 'first-light',
  parts: [
    { name: 'producer', title: 'single-producer, memory after it, event loop', run: producer },
    { name: 'consumer', title: 'single-consumer, event loop', run: consumer },
    { name: 'mixed', title: 'producer and consumer at once, event loop', run: mixed },
    { name: 'latency', title: 'end to end, one record at a time, event loop', run: latency },
    { name: 'start-memory', title: 'start to first acknowledged produce, idle memory', run: startAndMemory },
    { name: 'event-loop', title: 'a consumer reads 5 GB cold beside a producer at full speed', run: coldConsumer },
    { name: 'profile', title: 'JavaScript and GC per 64 KiB batch in the broker', run: profile },
    { name: 'bad-input', title: 'what is refused: by tests', run: badInput },
  ],
}
