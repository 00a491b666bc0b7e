/**
 * The C program that drives librdkafka's producer (peers/librdkafka/produce.c), compiled into the cache on first use.
 * The library itself is the system's (`librdkafka.so.1`, which also kcat needs).
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { runToEnd } from '../process/children.ts'
import { cacheDirectory, packageRoot } from '../process/package-root.ts'

const source = join(packageRoot, 'bench/peers/librdkafka/produce.c')

/** The program. Rejects where there is no C compiler; that there is no library shows when it runs. */
export async function librdkafkaProgram(signal?: AbortSignal): Promise<string> {
  if (!existsSync(source)) throw new Error(`${source} is missing: peers are measured from the repository`)
  const stamp = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
  const program = join(cacheDirectory(), `librdkafka-produce-${stamp}`)
  if (existsSync(program)) return program
  mkdirSync(cacheDirectory(), { recursive: true })
  const fresh = `${program}.${process.pid}`
  const args = ['-O2', '-o', fresh, source, '-ldl']
  await runToEnd('cc (librdkafka’s producer)', { command: process.env.CC ?? 'cc', args }, signal)
  renameSync(fresh, program)
  return program
}
