/** A cluster: three brokers that replicate, fail over, and carry many partitions. */
import type { GoalArea } from '../goal.ts'
import { badState, faults } from './by-tests.ts'
import { failOver } from './fail-over.ts'
import { tenThousand, thousand } from './many-partitions.ts'
import { async, latency, mixed, sync, threeProducers } from './replicated.ts'
import { shutdown } from './shutdown.ts'

export const cluster: GoalArea = {
  name: 'cluster',
  parts: [
    { name: 'async', title: 'single-producer-3x-async, followers at the end', run: async },
    { name: 'sync', title: 'single-producer-3x-sync, followers at the end', run: sync },
    { name: 'three', title: 'three-producers-3x-async, followers at the end', run: threeProducers },
    { name: 'mixed', title: 'producer-and-consumer-3x, followers at the end', run: mixed },
    { name: 'latency', title: 'end-to-end-3x, acks=all', run: latency },
    { name: 'fail-over', title: 'leaders killed: until their partitions can be written again', run: failOver },
    { name: 'shutdown', title: 'brokers stopped in order: longest wait of a record, errors', run: shutdown },
    { name: 'thousand', title: '1,000 partitions x 3: start, idle CPU', run: thousand },
    { name: 'ten-thousand', title: '10,000 partitions x 3, measured', run: tenThousand },
    { name: 'bad-state', title: 'what is refused at start: by tests', run: badState },
    { name: 'faults', title: 'kills, pauses, cut links: the fault tests of their CI tier', run: faults },
  ],
}
