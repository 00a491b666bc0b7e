/**
 * Child of log.crash.ts, from the built package: appends batches to partition t-0 of the directory given until it is
 * killed, and prints the last offset of each batch once that is answered. Value of the record at offset n: `n`.
 */
import { writeSync } from 'node:fs'
import { defaultsOf } from '../../dist/src/base/index.js'
import { nodeEnv } from '../../dist/src/env/index.js'
import { LogDirectory, logSettings } from '../../dist/src/log/index.js'
import { BatchWriter } from '../../dist/src/record/index.js'

const defaults = { ...defaultsOf(logSettings), segmentBytes: 100_000 }
const directory = await LogDirectory.open({ env: nodeEnv(), path: process.argv[2], defaults })
const log = directory.get('t', 0) ?? (await directory.create('t', 0, 'AAAAAAAAAAAAAAAAAAAAAQ'))
const encoder = new TextEncoder()
let next = log.logEndOffset
let sequence = 0

for (;;) {
  const appends = []
  for (let index = 0; index < 20; index++) {
    const writer = new BatchWriter(new Uint8Array(2000))
    const count = 1 + (next % 7)
    for (let record = 0; record < count; record++) writer.append(Date.now(), null, encoder.encode(`${next + record}`))
    const batch = writer.finish({ producerId: process.pid, producerEpoch: 0, baseSequence: sequence })
    appends.push(log.appendBatch(batch, 0))
    next += count
    sequence += count
  }
  for (const append of appends) writeSync(1, `${(await append).lastOffset}\n`)
}
