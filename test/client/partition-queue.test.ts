import { describe, expect, test } from 'vitest'
import type { BatchCompletion } from '../../src/client/batch-completion.ts'
import { BatchInProgress } from '../../src/client/batch-in-progress.ts'
import { PartitionQueue } from '../../src/client/partition-queue.ts'
import { BatchWriter } from '../../src/record/index.ts'

/** A queue with so many batches of one record that wait. */
function queueOf(batches: number): PartitionQueue {
  const queue = new PartitionQueue('events', 0)
  for (let at = 0; at < batches; at++) {
    const writer = new BatchWriter(new Uint8Array(200))
    const room = { writer, bytes: 200 }
    queue.open = new BatchInProgress(queue, {} as BatchCompletion, room, 0, queue.takeOrder())
    queue.closeOpen()
  }
  return queue
}

function sendAll(queue: PartitionQueue): number {
  let sent = 0
  while (queue.sendable(0)) {
    queue.assignSequence(queue.takeNext()!)
    sent++
  }
  return sent
}

describe('the batches of a partition that are on their way', () => {
  test('are at most the five that brokers remember, however many connections they went over', () => {
    const queue = queueOf(12)
    queue.adopt(7, 0)
    queue.prove()
    expect(sendAll(queue)).toBe(5)
    // The leader has changed: what is unanswered at the former one may be in the log, and counts still.
    queue.leaderId = 2
    expect(sendAll(queue)).toBe(0)
    queue.returned(queue.inFlight[0]!)
    expect(sendAll(queue)).toBe(1)
  })

  test('are not limited here without idempotence', () => {
    expect(sendAll(queueOf(12))).toBe(12)
  })
})
