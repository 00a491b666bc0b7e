/**
 * A process of its own that is given bombs, and tells how much memory it took at most meanwhile. Started with
 * --expose-gc and an IPC channel, of built modules; asked one thing after the other.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { defaultsOf } from '../../dist/src/base/index.js'
import { Consumer } from '../../dist/src/client/index.js'
import { nodeEnv } from '../../dist/src/env/index.js'
import { Log, logSettings } from '../../dist/src/log/index.js'
import { convertLegacy } from '../../dist/src/record/index.js'
import { startBroker } from '../../dist/src/testing/index.js'

const kilobytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))[1])

/** Forgets the peak so far; what there is now. */
function reset() {
  globalThis.gc()
  writeFileSync('/proc/self/clear_refs', '5')
  return kilobytes('VmRSS') * 1024
}
const peak = () => kilobytes('VmHWM') * 1024

const failure = (error) => ({ code: error.code ?? String(error), message: error.message })
let broker
let consumer
let log

const answers = {
  async broker({ settings }) {
    broker = await startBroker({ disk: 'memory', settings })
    return { bootstrap: broker.bootstrap }
  },
  async consumer({ bootstrap }) {
    const oneMiB = 1 << 20
    const fetches = { fetchMaxBytes: oneMiB, maxPartitionFetchBytes: oneMiB, prefetchBytes: 8 * oneMiB }
    consumer = new Consumer({ bootstrap, fetchMaxWaitMs: 50, ...fetches })
    consumer.assign([{ topic: 't', partition: 0, offset: 0 }])
    return {}
  },
  async consume({ offset }) {
    try {
      consumer.seek('t', 0, offset)
      const batch = await consumer.nextBatch()
      for (const record of batch) record.value
      return { records: batch.recordCount }
    } catch (error) {
      return failure(error)
    }
  },
  async log({ directory, files }) {
    const env = nodeEnv()
    await env.disk.makeDirectory(directory)
    const settings = { ...defaultsOf(logSettings), cleanupPolicy: ['compact'], minCleanableDirtyRatio: 0 }
    log = await Log.open({
      env,
      directory,
      settings,
      recoveryPoint: 0,
      cleanShutdown: true,
    })
    for (const file of files) await log.appendBatch(new Uint8Array(readFileSync(file)), 0)
    return { end: log.logEndOffset }
  },
  async read({ offset }) {
    try {
      for await (const batch of log.read({ from: offset, to: offset + 1 })) {
        let records = 0
        for (const cursor = batch.cursor(); cursor.next(); ) records++
        return { records }
      }
    } catch (error) {
      return failure(error)
    }
  },
  async compact() {
    return await log.compact()
  },
  async convert({ set, maxBytes }) {
    try {
      await convertLegacy(Buffer.from(set, 'base64'), 0, { maxBytes })
      return {}
    } catch (error) {
      return failure(error)
    }
  },
  reset,
  peak,
}

process.on('message', async ({ ask, ...given }) => {
  try {
    process.send({ answer: await answers[ask](given) })
  } catch (error) {
    process.send({ failure: error.stack })
  }
})
process.on('disconnect', () => process.exit(0))
