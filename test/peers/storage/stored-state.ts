/**
 * What is in the small files of a log directory: as Kafka's own classes read it (StoredState.java) and as ours do, in
 * the same lines, so that the two can be compared with `toEqual`.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeEnv } from '../../../src/env/index.ts'
import { LeaderEpochCheckpoint } from '../../../src/log/leader-epoch-checkpoint.ts'
import { readOffsetCheckpoint } from '../../../src/log/offset-checkpoint.ts'
import { OffsetIndex } from '../../../src/log/offset-index.ts'
import { decodeSnapshot } from '../../../src/log/producer-snapshots.ts'
import { TimeIndex } from '../../../src/log/time-index.ts'
import { TransactionIndex } from '../../../src/log/transaction-index.ts'
import { tool } from '../kafka-tools.ts'

const INDEX_BYTES_MAX = 10_485_760
const CHECKPOINTS = ['recovery-point-offset-checkpoint', 'log-start-offset-checkpoint', 'cleaner-offset-checkpoint']
const { disk } = nodeEnv()

/** Path of a Java source file beside this one, as a JVM runs it. */
export function storageProgram(name: string): string {
  return fileURLToPath(new URL(`./${name}.java`, import.meta.url))
}

export async function kafkasView(directory: string): Promise<string[]> {
  return (await tool(storageProgram('StoredState'), [directory])).trimEnd().split('\n')
}

export async function ourView(directory: string): Promise<string[]> {
  const lines = [`clean ${existsSync(join(directory, '.kafka_cleanshutdown'))}`]
  for (const name of CHECKPOINTS) {
    if (!existsSync(join(directory, name))) continue
    const offsets = [...((await readOffsetCheckpoint(disk, join(directory, name))) ?? [])].map(
      ([partition, offset]) => {
        return `${partition.replace(/-(\d+)$/, ' $1')} ${offset}`
      },
    )
    lines.push(...offsets.sort().map((line) => `checkpoint ${name} ${line}`))
  }
  for (const name of readdirSync(directory).sort()) {
    if (name.startsWith('__cluster_metadata')) continue
    if (statSync(join(directory, name)).isDirectory()) lines.push(...(await partitionView(directory, name)))
  }
  return lines
}

async function partitionView(directory: string, partition: string): Promise<string[]> {
  const lines: string[] = []
  const epochFile = join(directory, partition, 'leader-epoch-checkpoint')
  if (existsSync(epochFile)) {
    const { epochs, isNew } = await LeaderEpochCheckpoint.open(disk, epochFile)
    if (isNew) throw new Error(`${epochFile} is not a checkpoint`)
    for (const { epoch, startOffset } of epochs.entries) lines.push(`epoch ${partition} ${epoch} ${startOffset}`)
  }
  const names = readdirSync(join(directory, partition)).sort()
  for (const name of names.filter((one) => /^\d{20}\./.test(one))) {
    lines.push(...fileView(join(directory, partition), `${partition}/${name}`, name))
  }
  return lines
}

function fileView(folder: string, shown: string, name: string): string[] {
  const content = new Uint8Array(readFileSync(join(folder, name)))
  const baseOffset = Number(name.slice(0, 20))
  const isNone = (): never => {
    throw new Error(`${shown} is not what its name says`)
  }
  switch (name.slice(20)) {
    case '.snapshot':
      return (decodeSnapshot(content, baseOffset) ?? isNone()).map((entry) => {
        const { producerId, producerEpoch, lastSequence, lastOffset, offsetDelta } = entry
        const batch = `${producerId} ${producerEpoch} ${lastSequence} ${lastOffset} ${offsetDelta} ${entry.timestampMs}`
        return `snapshot ${shown} ${batch} ${entry.coordinatorEpoch} ${entry.transactionFirstOffset}`
      })
    case '.txnindex': {
      const index = TransactionIndex.load(INDEX_BYTES_MAX, content, baseOffset, Number.MAX_SAFE_INTEGER) ?? isNone()
      return Array.from({ length: index.count }, (_, slot) => {
        const { producerId, firstOffset, lastOffset, lastStableOffset } = index.entryAt(slot)
        return `aborted ${shown} ${producerId} ${firstOffset} ${lastOffset} ${lastStableOffset}`
      })
    }
    case '.index': {
      const segmentBytes = statSync(join(folder, name.replace(/\.index$/, '.log'))).size
      const index = OffsetIndex.load(baseOffset, INDEX_BYTES_MAX, content, segmentBytes)
      return [`${index === undefined ? 'corrupt' : 'sane'} ${shown}`]
    }
    case '.timeindex':
      return [`${TimeIndex.load(baseOffset, INDEX_BYTES_MAX, content) === undefined ? 'corrupt' : 'sane'} ${shown}`]
    default:
      return []
  }
}
