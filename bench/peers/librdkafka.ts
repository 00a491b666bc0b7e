/**
 * The C programs that drive librdkafka, compiled into the cache on first use: its producer over a file of values
 * (peers/librdkafka/produce.c) with the system's library (`librdkafka.so.1`, which also kcat needs), and the driver of the tests
 * (peers/librdkafka/drive.c) with the one that node-rdkafka has built for itself.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { runToEnd } from '../process/children.ts'
import { cacheDirectory, packageRoot } from '../process/package-root.ts'

/** Its own bounds on records would end batches of small values before their size does. */
export const queueBounds = { 'queue.buffering.max.messages': 1_000_000, 'batch.num.messages': 100_000 } as const

/** The producer. Rejects where there is no C compiler; that there is no library shows when it runs. */
export function librdkafkaProducer(signal?: AbortSignal): Promise<string> {
  return compiled('produce.c', signal)
}

/** The driver of tests, which is told where the library is. */
export function librdkafkaDriver(signal?: AbortSignal): Promise<string> {
  return compiled('drive.c', signal)
}

async function compiled(name: string, signal?: AbortSignal): Promise<string> {
  const directory = join(packageRoot, 'bench/peers/librdkafka')
  const source = join(directory, name)
  if (!existsSync(source)) throw new Error(`${source} is missing: peers are measured from the repository`)
  const hash = createHash('sha256')
  for (const file of ['librdkafka.h', name]) hash.update(readFileSync(join(directory, file)))
  const program = join(cacheDirectory(), `librdkafka-${name.replace('.c', '')}-${hash.digest('hex').slice(0, 12)}`)
  if (existsSync(program)) return program
  mkdirSync(cacheDirectory(), { recursive: true })
  const fresh = `${program}.${process.pid}`
  const args = ['-O2', '-o', fresh, source, '-ldl']
  await runToEnd(`cc (librdkafka’s ${name})`, { command: process.env.CC ?? 'cc', args }, signal)
  renameSync(fresh, program)
  return program
}
