/** A broker for tests: any free port on the loopback address, a temporary folder that goes away with it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from '../base/index.ts'
import { Broker, type BrokerSettings } from '../broker/index.ts'
import type { Env } from '../env/index.ts'

export interface StartBrokerOptions {
  /** By inside name, as in `brokerSettings`. */
  readonly settings?: Partial<BrokerSettings>
  /** A folder to keep; without it a temporary one is made, and removed by `close`. */
  readonly directory?: string
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
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'pagelog-')))
  const removeDirectory = async (): Promise<void> => {
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true })
  }
  try {
    const broker = await Broker.start({
      settings: { listeners: ['PLAINTEXT://127.0.0.1:0'], ...options.settings, logDir: directory },
      ...(options.env ? { env: options.env } : {}),
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
