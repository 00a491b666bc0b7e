/**
 * The hardest case for an event loop: 5 GB that are in no cache are read while a producer writes at full speed. Pages
 * are dropped with posix_fadvise(DONTNEED) after a sync; what the broker then really read from the device is told.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileCalls } from '../../../src/native/index.ts'
import { DriverProcess } from '../../drivers/driver-process.ts'
import { fillTopic } from '../../drivers/pagelog-runs.ts'
import { createTopic, guard, type Session } from '../../drivers/session.ts'
import { IdleLoop } from '../../measure/idle-loop.ts'
import { formatRate } from '../../measure/progress.ts'
import { settleWriteBack } from '../../measure/write-back.ts'
import { startPagelog } from '../../targets/pagelog.ts'
import type { Target } from '../../targets/target.ts'
import type { GoalContext } from '../goal.ts'
import { goalSettings } from '../settings.ts'
import { loopLines } from './loop-lines.ts'

const COLD_BYTES = 5e9
const BYTES_PER_RECORD = 110
const PRODUCER_TOPIC = 'beside'

export async function coldConsumer(context: GoalContext): Promise<void> {
  const { scratch, signal, progress } = context
  const settings = { ...goalSettings('single-consumer', 1, null), seconds: 200 }
  const target = await startPagelog({
    directory: scratch.directory('pagelog'),
    partitions: settings.partitions,
    onStart: (pid) => scratch.remember(pid),
    signal,
  })
  try {
    progress.begin('cold consumer')
    const session: Session = {
      target,
      replicationFactor: 1,
      settings,
      signal,
      onProgress: (phase, records) => progress.phase(phase, records),
    }
    const stored = await fillTopic(session, Math.round(COLD_BYTES / BYTES_PER_RECORD))
    await createTopic(session, PRODUCER_TOPIC, settings.partitions)
    await settleWriteBack(signal)
    await dropFromCache(target.dataDirectory, stored.topic)
    await readBeside(context, { ...session, target }, stored.topic, stored.checksum.records)
  } finally {
    await target.close()
  }
}

async function dropFromCache(dataDirectory: string, topic: string): Promise<void> {
  if (fileCalls === undefined) throw new Error('without the addon nothing can be dropped from the page cache')
  // DONTNEED leaves dirty pages alone.
  execFileSync('sync')
  for (const directory of readdirSync(dataDirectory).filter((name) => name.startsWith(`${topic}-`))) {
    for (const name of readdirSync(join(dataDirectory, directory)).filter((file) => file.endsWith('.log'))) {
      const path = join(dataDirectory, directory, name)
      const descriptor = openSync(path, 'r')
      try {
        await fileCalls.dropCache(descriptor, 0, statSync(path).size)
      } finally {
        closeSync(descriptor)
      }
    }
  }
}

async function readBeside(
  context: GoalContext,
  session: Session & { readonly target: Target },
  topic: string,
  records: number,
): Promise<void> {
  const { settings, target } = session
  const { partitions } = settings
  const phases = { warmUpSeconds: 1, records: 1e9, seconds: settings.seconds }
  const common = { ...phases, bootstrap: target.bootstrap, client: null, partitions }
  const payload = {
    valueBytes: settings.valueBytes,
    seed: settings.payloadSeed,
    poolBytes: settings.payloadPoolBytes,
  }
  const { acks, batchBytes, lingerMs } = settings
  const producer = new DriverProcess(
    {
      ...common,
      ...{ kind: 'producer', topic: PRODUCER_TOPIC, payload, acks, batchBytes, lingerMs, bufferBytes: 64 << 20 },
    },
    () => {},
  )
  const consumer = new DriverProcess({ ...common, kind: 'consumer', topic, mode: 'follow' }, () => {})
  try {
    await guard(session, Promise.all([producer.ready, consumer.ready]))
    producer.tell({ type: 'start' })
    await guard(session, producer.measuring)
    const readBefore = bytesReadFromDevice(target.pid)
    await target.resetMetrics()
    const idleLoop = new IdleLoop()
    const startedMs = performance.now()
    consumer.tell({ type: 'start' })
    consumer.tell({ type: 'finish', records })
    await guard(session, Promise.race([consumer.result, producer.result]))
    const seconds = (performance.now() - startedMs) / 1000
    const delay = (await target.loopDelays())[0] ?? null
    const idle = await idleLoop.stop()
    const read = bytesReadFromDevice(target.pid) - readBefore
    const how = `${formatRate(records / seconds)} rec/s read, ${(read / 1e9).toFixed(1)} GB of it from the device`
    for (const line of loopLines('cold-consumer', [delay], idle))
      context.report({ ...line, how: `${line.how}; ${how}` })
    context.report({
      id: 'cold-consumer.cold',
      pass: read >= COLD_BYTES * 0.9,
      measured: `${(read / 1e9).toFixed(2)} GB from the device`,
      goal: `≥ ${(COLD_BYTES * 0.9) / 1e9} GB`,
      how: 'read_bytes of /proc/<pid>/io: without this the lines above would say little',
    })
  } finally {
    await Promise.all([producer.end(), consumer.end()])
  }
}

function bytesReadFromDevice(pid: number): number {
  return Number(/^read_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1] ?? Number.NaN)
}
