/**
 * The consumer's driver with another client in it: of each record the length and the first byte of the value read, as in
 * consumer.ts. What is stored is read once, not in laps: most of these clients read by groups, which begin anew slowly.
 */
import { crc32c } from '../../src/native/index.ts'
import { withResolvers } from '../process/resolvers.ts'
import type { Channel } from './channel.ts'
import { ConsumerPhases } from './consumer.ts'
import { endOffsets } from './laps.ts'
import { isSampled } from './payloads.ts'
import type { Peer } from './peers/peer.ts'
import type { ConsumerSpec, DriverResult } from './protocol.ts'

/** The clock is looked at once in so many records. */
const LOOK_EVERY = 1024
/** The warm-up may take this share of what is stored. */
const WARM_SHARE_MAX = 1 / 4

export async function runPeerConsumer(peer: Peer, spec: ConsumerSpec, channel: Channel): Promise<DriverResult> {
  const stored = spec.mode === 'laps' ? (await endOffsets(spec)).reduce((sum, end) => sum + end, 0) : undefined
  let wanted = stored ?? Number.MAX_SAFE_INTEGER
  const over = withResolvers<void>()
  const sums = { records: 0, bytes: 0, firstBytes: 0, sampled: 0 }
  // Time runs from the first record: joining a group is no part of the warm-up.
  let phases: ConsumerPhases | undefined
  const onValue = (value: Buffer) => {
    // After the measured phase, while the client stops, its buffers may still be coming.
    if (sums.records === wanted || (stored !== undefined && phases?.isMeasured === true)) return
    phases ??= new ConsumerPhases(spec, channel)
    sums.records++
    sums.bytes += value.length
    sums.firstBytes += value[0]!
    if (value[0] === 0x5a && isSampled(value, 0, value.length)) sums.sampled += crc32c(value)
    phases.received = sums.records
    if (sums.records === wanted) over.resolve()
    else if (sums.records % LOOK_EVERY === 0) look(phases)
  }
  const look = (now: ConsumerPhases) => {
    now.look()
    if (stored === undefined) return
    if (sums.records >= stored * WARM_SHARE_MAX) now.begin()
    if (now.isMeasured) over.resolve()
  }
  if (spec.mode === 'follow') {
    phases = new ConsumerPhases(spec, channel)
    void channel.measure.then(() => phases?.begin())
    void channel.measured.then(() => phases?.end())
    void channel.finished.then((records) => {
      wanted = records
      if (sums.records >= wanted) over.resolve()
    })
  }
  const consumer = await peer.consume(spec, { onValue, onError: over.reject })
  await channel.send({ type: 'ready' })
  await over.promise
  if (spec.mode === 'laps') phases?.end()
  await consumer.close()
  const figures = phases?.result ?? { records: 0, seconds: 0, series: [], loopDelay: null }
  return {
    ...figures,
    checksum: sums,
    ...(sums.records < wanted ? { isPart: true } : {}),
    latency: '',
    errors: 0,
    retries: 0,
  }
}
