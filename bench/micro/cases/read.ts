/** Reads out of the page cache: from one end to the other, one record anywhere, and how fast an offset or a time is found. */
import type { Log } from '../../../src/log/index.ts'
import { RecordCursor } from '../../../src/record/index.ts'
import { LatencyRecorder } from '../../measure/latency.ts'
import { fillLog } from '../logs.ts'
import { measure } from '../measure.ts'
import type { Micro, MicroContext, MicroOutcome, Subject } from '../micro.ts'
import { recordsPerBatch, VALUE_BYTES, Values } from '../records.ts'
import { sink } from '../sink.ts'
import { openLevel } from '../stores/classic-level-store.ts'
import { openLmdb } from '../stores/lmdb-store.ts'
import { keyOf } from '../stores/store.ts'

/** A prime: the offsets asked for come in no order that a cache or a hint knows. */
const STRIDE = 1_000_003
/** Operations between two looks at the clock. */
const LOOKUPS_PER_CALL = 1_000
/** Of an iterator's `nextv`, as classic-level advises for scans. */
const LEVEL_BATCH = 1_000

export const readMicros: readonly Micro[] = [
  {
    name: 'read.sequential.crc',
    title: 'length and first byte of each value from the first to the last, CRCs checked',
    subjects: {
      pagelog: (context) => sequential(context, true),
      'classic-level': (context) => levelReads(context, 'sequential'),
      lmdb: (context) => lmdbReads(context, 'sequential'),
    },
  },
  {
    name: 'read.sequential.no-crc',
    title: 'the same, CRCs not checked',
    subjects: { pagelog: (context) => sequential(context, false) },
  },
  {
    name: 'read.random',
    title: 'one record by its offset or key, batches of 100 records',
    subjects: {
      pagelog: random(100),
      'classic-level': (context) => levelReads(context, 'random'),
      lmdb: (context) => lmdbReads(context, 'random'),
    },
  },
  {
    name: 'read.random.64KiB',
    title: 'one record by its offset, batches of 64 KiB',
    subjects: { pagelog: random(recordsPerBatch()) },
  },
  {
    name: 'index.offset',
    title: 'offset → segment, index entry, batch headers → position in the file',
    subjects: { pagelog: offsetLookup },
  },
  {
    name: 'index.time',
    title: 'timestamp → offset of the first record not older',
    subjects: { pagelog: timeLookup },
  },
]

async function sequential({ directory, scale }: MicroContext, checkCrcs: boolean): Promise<MicroOutcome> {
  const { logBytes, poolBytes } = scale
  const { logs, log } = await fillLog(directory, { logBytes, poolBytes, recordsPerBatch: recordsPerBatch() })
  try {
    const unitsPerCall = log.logEndOffset
    return await measure({
      scale,
      unit: 'rec/s',
      unitsPerCall,
      bytesPerUnit: VALUE_BYTES,
      call: async () => {
        const count = await readAll(log, checkCrcs)
        if (count !== unitsPerCall) throw new Error(`read ${count} records of ${unitsPerCall}`)
      },
    })
  } finally {
    await logs.close({ clean: false })
  }
}

/** Records read: the way that docs/embedding.md calls the fast one. */
export async function readAll(log: Log, checkCrcs: boolean): Promise<number> {
  const cursor = new RecordCursor()
  let count = 0
  let sum = 0
  for await (const batch of log.read({ from: 'start', to: log.logEndOffset, checkCrcs, reuseBuffers: true })) {
    const { bytes } = batch
    cursor.reset(bytes, batch.position)
    while (cursor.next()) {
      sum += cursor.valueLength + bytes[cursor.valueStart]!
      count++
    }
  }
  sink.value ^= sum
  return count
}

/** The first byte of the value at `offset`. */
export async function readOne(log: Log, offset: number): Promise<number> {
  const record = await log.readAt(offset)
  if (record?.offset !== offset) throw new Error(`no record at offset ${offset}`)
  return record.value![0]!
}

function random(recordsInBatch: number): Subject {
  return async ({ directory, scale }) => {
    const { logBytes, poolBytes } = scale
    const { logs, log } = await fillLog(directory, { logBytes, poolBytes, recordsPerBatch: recordsInBatch })
    try {
      return await measureRandom({ directory, scale, peers: undefined }, log.logEndOffset, (n) => readOne(log, n))
    } finally {
      await logs.close({ clean: false })
    }
  }
}

/** One at a time, each timed. */
function measureRandom(
  { scale }: MicroContext,
  records: number,
  get: (n: number) => Promise<number>,
): Promise<MicroOutcome> {
  const latencies = new LatencyRecorder()
  let n = 0
  const call = async (): Promise<void> => {
    for (let i = 0; i < scale.randomReads; i++) {
      n = (n + STRIDE) % records
      const startedMs = performance.now()
      sink.value ^= await get(n)
      latencies.record(performance.now() - startedMs)
    }
  }
  return measure({ scale, unit: 'op/s', unitsPerCall: scale.randomReads, latencies, call })
}

async function offsetLookup({ directory, scale }: MicroContext): Promise<MicroOutcome> {
  const { logBytes, poolBytes } = scale
  const { logs, log } = await fillLog(directory, { logBytes, poolBytes, recordsPerBatch: 100 })
  let n = 0
  const call = async (): Promise<void> => {
    for (let i = 0; i < LOOKUPS_PER_CALL; i++) {
      n = (n + STRIDE) % log.logEndOffset
      const slice = log.slice(n, 65_536)
      const { regions } = slice instanceof Promise ? await slice : slice
      for (const region of regions) region.release()
    }
  }
  try {
    return await measure({ scale, unit: 'op/s', unitsPerCall: LOOKUPS_PER_CALL, call })
  } finally {
    await logs.close({ clean: false })
  }
}

async function timeLookup({ directory, scale }: MicroContext): Promise<MicroOutcome> {
  const { logBytes, poolBytes } = scale
  const { logs, log } = await fillLog(directory, { logBytes, poolBytes, recordsPerBatch: 100 })
  const first = await log.offsetForTime(0)
  const last = await log.latestTimestampOffset()
  const span = Math.max(1, last!.timestamp - first!.timestamp)
  let n = 0
  const call = async (): Promise<void> => {
    for (let i = 0; i < LOOKUPS_PER_CALL / 10; i++) {
      n = (n + STRIDE) % span
      const found = await log.offsetForTime(first!.timestamp + n)
      sink.value ^= found!.offset & 1
    }
  }
  try {
    return await measure({ scale, unit: 'op/s', unitsPerCall: LOOKUPS_PER_CALL / 10, call })
  } finally {
    await logs.close({ clean: false })
  }
}

async function levelReads(context: MicroContext, how: 'sequential' | 'random'): Promise<MicroOutcome> {
  const { directory, scale, peers } = context
  const db = await openLevel(peers, directory)
  try {
    const values = new Values(scale.poolBytes)
    for (let n = 0; n < scale.storeRecords; ) {
      const batch = db.batch()
      for (let i = 0; i < 1_000 && n < scale.storeRecords; i++) batch.put(keyOf(n++), values.next())
      await batch.write({ sync: false })
    }
    if (how === 'random') {
      return await measureRandom(context, scale.storeRecords, async (n) => (await db.get(keyOf(n)))![0]!)
    }
    const call = async (): Promise<void> => {
      const iterator = db.iterator()
      for (;;) {
        const entries = await iterator.nextv(LEVEL_BATCH)
        if (entries.length === 0) break
        for (const [, value] of entries) sink.value ^= value.length + value[0]!
      }
      await iterator.close()
    }
    return await measure({ scale, unit: 'rec/s', unitsPerCall: scale.storeRecords, bytesPerUnit: VALUE_BYTES, call })
  } finally {
    await db.close()
  }
}

async function lmdbReads(context: MicroContext, how: 'sequential' | 'random'): Promise<MicroOutcome> {
  const { directory, scale, peers } = context
  const db = openLmdb(peers, directory, 'os')
  try {
    const values = new Values(scale.poolBytes)
    for (let n = 0; n < scale.storeRecords; ) {
      db.transactionSync(() => {
        for (let i = 0; i < 10_000 && n < scale.storeRecords; i++) db.putSync(n++, values.next())
      })
    }
    if (how === 'random') {
      return await measureRandom(context, scale.storeRecords, async (n) => db.getBinary(n)![0]!)
    }
    const call = (): void => {
      for (const { value } of db.getRange({})) sink.value ^= value.length + value[0]!
    }
    return await measure({ scale, unit: 'rec/s', unitsPerCall: scale.storeRecords, bytesPerUnit: VALUE_BYTES, call })
  } finally {
    await db.close()
  }
}
