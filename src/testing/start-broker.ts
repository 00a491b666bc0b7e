/**
 * A broker for tests: any free port on the loopback address, a temporary folder that goes away with it, or no file at
 * all.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../base/index.ts'
import { Broker, type BrokerSettings } from '../broker/index.ts'
import { type Disk, type Env, inThreadWorkers, nodeEnv } from '../env/index.ts'
import { memoryDisk } from '../env/memory/index.ts'

/** Where a broker keeps its files on a disk that is not the real one. */
const DIRECTORY = '/pagelog'

export interface StartBrokerOptions {
  /** By inside name, as in `brokerSettings`. */
  readonly settings?: Partial<BrokerSettings>
  /** A folder to keep; without it a temporary one is made, and removed by `close`. */
  readonly directory?: string
  /**
   * `memory`: nothing is written anywhere. A disk of one's own, such as `memoryDisk()` or that of `lyingDisk()`, can be
   * looked at, filled or broken, and a broker started on it again finds what the one before it had stored.
   */
  readonly disk?: 'memory' | Disk
  readonly logger?: Logger
  readonly env?: Env
}

export interface TestBroker {
  /** `host:port`, for clients. */
  readonly bootstrap: string
  readonly broker: Broker
  readonly directory: string
  close(): Promise<void>
}

export async function startBroker(options: StartBrokerOptions = {}): Promise<TestBroker> {
  const { directory, removeDirectory } = await placeOf(options)
  const env = envOf(options)
  try {
    const broker = await Broker.start({
      settings: { listeners: ['PLAINTEXT://127.0.0.1:0'], ...options.settings, logDir: directory },
      ...(env ? { env } : {}),
      ...(options.logger ? { logger: options.logger } : {}),
    })
    return {
      bootstrap: `${broker.host}:${broker.port}`,
      broker,
      directory,
      async close() {
        await broker.close()
        await removeDirectory()
      },
    }
  } catch (error) {
    await removeDirectory()
    throw error
  }
}

/** The folder of the broker's files, and what is done with it at the end. */
async function placeOf(options: StartBrokerOptions): Promise<{ directory: string; removeDirectory(): Promise<void> }> {
  const { directory, disk } = options
  const keep = async (): Promise<void> => {}
  if (directory !== undefined) return { directory, removeDirectory: keep }
  if (disk !== undefined) return { directory: DIRECTORY, removeDirectory: keep }
  const made = await mkdtemp(join(tmpdir(), 'pagelog-'))
  return { directory: made, removeDirectory: () => rm(made, { recursive: true, force: true }) }
}

function envOf({ disk, env }: StartBrokerOptions): Env | undefined {
  if (disk === undefined) return env
  const base = env ?? nodeEnv()
  const used = disk === 'memory' ? memoryDisk() : disk
  return { ...base, disk: used, workers: inThreadWorkers({ disk: used, clock: base.clock }) }
}
