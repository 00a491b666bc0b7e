/**
 * How a broker leaves without being missed: it says that it is about to close, the controller moves its leaderships to
 * other members of their ISRs and takes it out of all ISRs, and only then it stops serving. Partitions that nobody else
 * could lead stay with it to the end.
 *
 * Not all have heard of that at once. So for a moment it goes on answering: a client that is told who leads instead
 * (KIP-951) is there sooner than one that finds its connection closed, and leaders that take it for in sync still get its
 * fetches.
 */
import { hasCode, type Logger } from '../base/index.ts'
import type { Clock } from '../env/index.ts'
import type { ClusterImage, ImageChange, PartitionState } from '../metadata/index.ts'
import type { BrokerRegistration } from './broker-registration.ts'

/** Then it closes with what it still leads, as if it had failed. */
const PATIENCE_MS = 10_000
/** Longer than a client that is at work takes to ask again, and than the store takes to tell all brokers. */
const FAREWELL_MS = 100

export interface ControlledShutdownOptions {
  readonly image: ClusterImage
  readonly registration: Pick<BrokerRegistration, 'announceLeaving' | 'brokerEpoch'>
  readonly clock: Clock
  readonly logger: Logger
  readonly nodeId: number
}

/** True when nobody misses this broker any more. Never rejects. */
export async function leaveCluster(options: ControlledShutdownOptions): Promise<boolean> {
  const { image, registration, clock, logger, nodeId } = options
  // Alone, there is nobody to take over.
  if (![...image.brokers.values()].some(({ id, leaving }) => id !== nodeId && !leaving)) return true
  try {
    if (!(await registration.announceLeaving())) return false
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_OUTCOME_UNKNOWN')) {
      logger.warn({ error }, 'the metadata cannot be reached: this broker closes without moving its leaderships')
      return false
    }
  }
  const done = await untilNothingIsLeft(options)
  if (!done) {
    const left = missedPartitions(image, nodeId)
    logger.warn(
      { partitions: left },
      'some leaderships could not be moved in time; others take over when this broker is gone',
    )
    return false
  }
  await new Promise<void>((resolve) => void clock.after(FAREWELL_MS, resolve))
  return true
}

function untilNothingIsLeft({ image, clock, nodeId, registration }: ControlledShutdownOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const missed = new MissedPartitions(image, nodeId)
    const end = (done: boolean): void => {
      timer.cancel()
      unwatch()
      resolve(done)
    }
    const look = (change?: ImageChange): void => {
      missed.changed(change)
      if (registration.brokerEpoch === 0) end(false)
      else if (missed.count === 0) end(true)
    }
    const timer = clock.after(PATIENCE_MS, () => end(false))
    const unwatch = image.onChange(look)
    look()
  })
}

function missedPartitions(image: ClusterImage, nodeId: number): number {
  const missed = new MissedPartitions(image, nodeId)
  missed.changed(undefined)
  return missed.count
}

/** Partitions in whose ISR this broker still is though somebody else could do without it. */
class MissedPartitions {
  readonly #image: ClusterImage
  readonly #nodeId: number
  readonly #keys = new Set<string>()

  constructor(image: ClusterImage, nodeId: number) {
    this.#image = image
    this.#nodeId = nodeId
  }

  get count(): number {
    return this.#keys.size
  }

  /** Looks at what changed; at everything when brokers did, which may be able to lead or not any more. */
  changed(change: ImageChange | undefined): void {
    if (change === undefined || change.brokers.size > 0) {
      this.#keys.clear()
      for (const { id, partitions } of this.#image.topics())
        for (const partition of partitions) this.#look(id, partition.index, partition)
      return
    }
    for (const [id, indexes] of change.partitions)
      for (const index of indexes) this.#look(id, index, this.#image.partition(id, index))
  }

  #look(topicId: string, index: number, partition: PartitionState | undefined): void {
    const key = `${topicId}/${index}`
    if (partition && couldMove(this.#image, partition, this.#nodeId)) this.#keys.add(key)
    else this.#keys.delete(key)
  }
}

function couldMove({ brokers }: ClusterImage, { isr }: PartitionState, nodeId: number): boolean {
  if (!isr.includes(nodeId)) return false
  return isr.some((id) => id !== nodeId && brokers.has(id) && brokers.get(id)!.leaving !== true)
}
