/** What a load runs against: a broker of our own in scratch space, on loopback or in namespaces, or one that is there. */
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { placementHere } from '../netns/namespaces.ts'
import type { Placement } from '../netns/placement.ts'
import { readHosts } from '../options.ts'
import { endAllChildren } from '../process/children.ts'
import { makeScratch, type Scratch } from '../process/scratch.ts'
import { startPagelog } from '../targets/pagelog.ts'
import type { LoadTarget } from './run.ts'

export interface SessionOptions {
  /** Null: a pagelog broker is started. */
  readonly bootstrap: string | null
  readonly partitions: number
  readonly dataDirectory: string | undefined
  readonly hosts: string | undefined
  readonly signal: AbortSignal
  readonly overrides?: Readonly<Record<string, string>>
  /** How many brokers are started. Default 1. */
  readonly brokers?: number
}

export interface LoadSession {
  readonly target: LoadTarget
  readonly placement: Placement
  readonly scratch: Scratch
}

/** Starts what is needed, does the work, and leaves nothing. */
export async function withSession<Value>(
  options: SessionOptions,
  work: (session: LoadSession) => Promise<Value>,
): Promise<Value> {
  const scratch = makeScratch(resolve(options.dataDirectory ?? tmpdir()))
  const placement = placementHere()
  let close = async () => {}
  try {
    const bootstrap = options.bootstrap ?? (options.hosts === undefined ? null : readHosts(options.hosts))
    if (bootstrap !== null) return await work({ target: { bootstrap }, placement, scratch })
    const target = await startPagelog({
      directory: scratch.directory('pagelog'),
      partitions: options.partitions,
      ...(options.brokers === undefined ? {} : { brokers: options.brokers }),
      place: placement.broker(0),
      onStart: (pid) => scratch.remember(pid),
      signal: options.signal,
      ...(options.overrides === undefined ? {} : { overrides: options.overrides }),
    })
    close = () => target.close()
    return await work({ target, placement, scratch })
  } finally {
    await close()
    await endAllChildren()
    await placement.close()
    scratch.remove()
  }
}
