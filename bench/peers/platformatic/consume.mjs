/**
 * @platformatic/kafka's consumer: what is stored, once, from the start; of each value its length and its first byte.
 *
 * Arguments: a ConsumeSpec as JSON (bench/compression/protocol.ts). Prints `measuring` when the warm-up is over, in the
 * end a line of JSON.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [directory, text] = process.argv.slice(2)
const require = createRequire(`${directory}/package.json`)
const path = require.resolve('@platformatic/kafka')
const { Consumer } = await import(pathToFileURL(path).href)
const { version } = JSON.parse(readFileSync(`${directory}/node_modules/@platformatic/kafka/package.json`, 'utf8'))
const spec = JSON.parse(text)

const options = {
  topics: [spec.topic],
  mode: 'earliest',
  autocommit: false,
  maxBytes: spec.fetchMaxBytes,
  maxBytesPerPartition: spec.partitionFetchMaxBytes,
  maxWaitTime: 500,
  // So that its own buffer never is what it waits for.
  highWaterMark: 65_536,
}

/** A broker that has just started makes the topic of its groups first, and refuses to coordinate until it has. */
async function join() {
  for (let left = JOINS_MAX; ; left--) {
    const consumer = new Consumer({
      groupId: `bench-${process.pid}-${left}`,
      clientId: 'bench',
      bootstrapBrokers: [spec.bootstrap],
    })
    try {
      return await consumer.consume(options)
    } catch (error) {
      if (left === 0) throw error
      await consumer.close(true).catch(() => {})
      await new Promise((go) => setTimeout(go, JOIN_AGAIN_MS))
    }
  }
}

const JOINS_MAX = 30
const JOIN_AGAIN_MS = 1000
const stream = await join()

/** The clock is looked at once in so many records. */
const LOOK_EVERY = 1024
const warmRecordsMax = spec.storedRecords / 4
let seen = 0
let records = 0
let bytes = 0
let firstBytes = 0
let startedMs = 0
let untilMs = performance.now() + spec.warmUpSeconds * 1000
let isMeasuring = false

await new Promise((resolve, reject) => {
  stream.on('error', reject)
  stream.on('data', ({ value }) => {
    records++
    bytes += value.length
    firstBytes += value[0]
    if (++seen === spec.storedRecords) return resolve()
    if (seen % LOOK_EVERY !== 0) return
    if (performance.now() < untilMs && (isMeasuring || seen < warmRecordsMax)) return
    if (isMeasuring) return resolve()
    isMeasuring = true
    process.stdout.write('measuring\n')
    records = bytes = firstBytes = 0
    startedMs = performance.now()
    untilMs = startedMs + spec.seconds * 1000
  })
})
const seconds = (performance.now() - startedMs) / 1000
const result = { records, bytes, seconds, firstBytes, errors: 0, client: `@platformatic/kafka ${version}` }
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
