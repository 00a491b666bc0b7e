/**
 * How fast a codec is on one core: `node codec-speed.js '<SpeedSpec as JSON>'`, a line of JSON for each level and batch
 * size. Time is CPU time of the process, so that a busy machine does not make codecs slower than they are.
 */
import { BatchWriter, codecNumber, compressBatch, decompressBatch, loadCodec } from '../../src/record/index.ts'
import { readPayloadFile } from './payloads.ts'
import type { CodecId, SpeedResult } from './result.ts'

export interface SpeedSpec {
  readonly codec: CodecId
  readonly levels: readonly (number | null)[]
  readonly batches: readonly number[]
  readonly payloadFile: string
  /** For each way of each. */
  readonly seconds: number
}

export type Speed = Omit<SpeedResult, 'payload'>

/** Batches in turn, so that no cache holds what is compressed next. */
const SET_BYTES = 8 << 20
const PLAIN_BYTES_MAX = 64 << 20

function batchesOf(values: readonly Uint8Array[], batchBytes: number): Uint8Array[] {
  const batches: Uint8Array[] = []
  let next = 0
  for (let size = 0; size < SET_BYTES; size += batchBytes) {
    const writer = new BatchWriter(new Uint8Array(batchBytes))
    while (writer.append(0, null, values[next]!)) next = (next + 1) % values.length
    batches.push(writer.finish())
  }
  return batches
}

/** Plain megabytes a second of CPU. */
function rate(
  batches: readonly Uint8Array[],
  plain: readonly Uint8Array[],
  seconds: number,
  work: (b: Uint8Array) => void,
) {
  work(batches[0]!)
  const from = process.cpuUsage()
  let bytes = 0
  let cpu = 0
  for (let at = 0; cpu < seconds * 1e6; at = (at + 1) % batches.length) {
    work(batches[at]!)
    bytes += plain[at]!.length
    const { user, system } = process.cpuUsage(from)
    cpu = user + system
  }
  return bytes / cpu
}

async function measure(spec: SpeedSpec, onSpeed: (speed: Speed) => void): Promise<void> {
  const codec = await loadCodec(codecNumber(spec.codec))
  const values = readPayloadFile(spec.payloadFile)
  for (const batchBytes of spec.batches) {
    const plain = batchesOf(values, batchBytes)
    for (const level of spec.levels) {
      const pack = (batch: Uint8Array) => compressBatch(batch, codec, level ?? undefined)
      const packed = plain.map(pack)
      const sum = (batches: readonly Uint8Array[]) => batches.reduce((total, { length }) => total + length, 0)
      onSpeed({
        codec: spec.codec,
        level,
        batchBytes,
        ratio: sum(plain) / sum(packed),
        compress: rate(plain, plain, spec.seconds, pack),
        decompress: rate(packed, plain, spec.seconds, (batch) => decompressBatch(batch, codec, PLAIN_BYTES_MAX)),
        node: process.version,
      })
    }
  }
}

await measure(JSON.parse(process.argv[2] ?? '') as SpeedSpec, (speed) => {
  process.stdout.write(`${JSON.stringify(speed)}\n`)
})
