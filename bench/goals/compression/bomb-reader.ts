/**
 * A consumer as a process of its own that reads good batches, then bombs: `node bomb-reader.js bootstrap topic warm bombs`.
 * Prints as JSON what became of each bomb and how much memory the process took for them.
 */
import { PagelogError } from '../../../src/base/index.ts'
import { type ConsumedBatch, Consumer } from '../../../src/client/index.ts'
import { PeakMemory } from './peak-memory.ts'

export interface BombReading {
  readonly extraBytes: number
  /** A line for each offset of a bomb. */
  readonly errors: readonly string[]
  /** Records read of the last good batch, after the bombs. */
  readonly readAfter: number
}

const WAIT_MS = 30_000

async function read(bootstrap: string, topic: string, warm: number, bombs: number): Promise<BombReading> {
  await using consumer = new Consumer({ bootstrap, autoOffsetReset: 'earliest' })
  consumer.assign([{ topic, partition: 0, offset: 'beginning' }])
  for (let offset = 0; offset < warm; ) {
    const batch = await consumer.nextBatch({ timeoutMs: WAIT_MS })
    if (batch === undefined) throw new Error(`nothing came at offset ${offset}`)
    offset = batch.lastOffset + 1
  }
  const memory = new PeakMemory('self')
  const errors: string[] = []
  for (let offset = warm; offset < warm + bombs; offset++) {
    try {
      const batch = await consumer.nextBatch({ timeoutMs: WAIT_MS })
      errors.push(batch === undefined ? 'nothing came' : `${walk(batch)} records were read`)
    } catch (error) {
      errors.push(error instanceof PagelogError ? error.code : String(error))
    }
    consumer.seek(topic, 0, offset + 1)
  }
  const extraBytes = memory.extra()
  const last = await consumer.nextBatch({ timeoutMs: WAIT_MS })
  return { extraBytes, errors, readAfter: last?.recordCount ?? 0 }
}

/** Some decompress within the bound, to what are no records. */
function walk(batch: ConsumedBatch): number {
  let records = 0
  for (const cursor = batch.cursor(); cursor.next(); ) records++
  return records
}

const [bootstrap, topic, warm, bombs] = process.argv.slice(2) as [string, string, string, string]
const reading = await read(bootstrap, topic, Number(warm), Number(bombs))
process.stdout.write(`${JSON.stringify(reading)}\n`, () => process.exit(0))
