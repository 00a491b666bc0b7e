/** The tests: what each is called, which limit probe stands beside it, and who runs it. */
import { throughputVsStored } from './drivers/growing.ts'
import * as kafka from './drivers/kafka-runs.ts'
import * as own from './drivers/pagelog-runs.ts'
import type { Session, StoredTopic } from './drivers/session.ts'
import type { BenchSettings, DriverName, ProbeName, RunResult, TestId } from './result.ts'

export interface Workload {
  readonly id: TestId
  readonly title: string
  readonly probe: ProbeName
  /** How many there are, each with a replica of every partition. */
  readonly brokers: number
  /** Where the test says so; else as the settings do. */
  readonly acks?: number
  /** Records that a consumer finds stored; 0: nothing is stored beforehand. */
  storedRecords(settings: BenchSettings): number
  run(driver: DriverName, session: Session, stored: StoredTopic | undefined): Promise<RunResult>
}

const nothing = () => 0

/** More is stored for a test of consumers than it measures, but no more than this: the page cache must hold that of every target. */
const READ_RECORDS_MAX = 40_000_000

/** The Java tool reads what is stored once, is measured by the second, and needs its first seconds to warm up. */
const JAVA_READ_RECORDS_MIN = 20_000_000

/** With Kafka there is more. */
export function readRecords({ records, against, runs }: BenchSettings): number {
  const wanted = records * (against === null || runs === 1 ? 2 : 4)
  const least = against === null ? 0 : JAVA_READ_RECORDS_MIN
  return Math.max(records, Math.min(Math.max(wanted, least), READ_RECORDS_MAX))
}

export const workloads: Readonly<Record<TestId, Workload>> = {
  'single-producer': {
    id: 'single-producer',
    title: 'One producer',
    probe: 'produce',
    brokers: 1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).singleProducer(session),
  },
  'single-consumer': {
    id: 'single-consumer',
    title: 'One consumer, from the start',
    probe: 'consume',
    brokers: 1,
    storedRecords: readRecords,
    run: (driver, session, stored) => {
      if (stored === undefined) throw new Error('nothing was stored to be read')
      return (driver === 'kafka-tools' ? kafka : own).singleConsumer(session, stored)
    },
  },
  'three-consumers': {
    id: 'three-consumers',
    title: 'Three consumers, each reading all from the start',
    probe: 'consume',
    brokers: 1,
    storedRecords: readRecords,
    run: (driver, session, stored) => {
      if (stored === undefined) throw new Error('nothing was stored to be read')
      return (driver === 'kafka-tools' ? kafka : own).threeConsumers(session, stored)
    },
  },
  'producer-and-consumer-1x': {
    id: 'producer-and-consumer-1x',
    title: 'Producer and consumer at once',
    probe: 'both',
    brokers: 1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).producerAndConsumer(session),
  },
  'end-to-end-1x': {
    id: 'end-to-end-1x',
    title: 'One record at a time, produce to consume',
    probe: 'echo',
    brokers: 1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).endToEnd(session),
  },
  'single-producer-3x-async': {
    id: 'single-producer-3x-async',
    title: 'One producer, three replicas, acks=1',
    probe: 'replicate',
    brokers: 3,
    acks: 1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).singleProducer(session),
  },
  'single-producer-3x-sync': {
    id: 'single-producer-3x-sync',
    title: 'One producer, three replicas, acks=all',
    probe: 'replicate',
    brokers: 3,
    acks: -1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).singleProducer(session),
  },
  'three-producers-3x-async': {
    id: 'three-producers-3x-async',
    title: 'Three producers, three replicas, acks=1',
    probe: 'replicate',
    brokers: 3,
    acks: 1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).threeProducers(session),
  },
  'throughput-vs-stored': {
    id: 'throughput-vs-stored',
    title: 'One producer while the stored data grow, three replicas, acks=1',
    probe: 'replicate',
    brokers: 3,
    acks: 1,
    storedRecords: nothing,
    run: (driver, session) => throughputVsStored(session, (driver === 'kafka-tools' ? kafka : own).singleProducer),
  },
  'producer-and-consumer-3x': {
    id: 'producer-and-consumer-3x',
    title: 'Producer and consumer at once, three replicas, acks=1',
    probe: 'replicate',
    brokers: 3,
    acks: 1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).producerAndConsumer(session),
  },
  'end-to-end-3x': {
    id: 'end-to-end-3x',
    title: 'One record at a time, produce to consume, three replicas, acks=all',
    probe: 'echo',
    brokers: 3,
    acks: -1,
    storedRecords: nothing,
    run: (driver, session) => (driver === 'kafka-tools' ? kafka : own).endToEnd(session),
  },
}

/** A test of latency, not of rate. */
export function isLatencyTest(test: TestId): boolean {
  return workloads[test].probe === 'echo'
}
