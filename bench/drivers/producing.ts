/** The phases of a process that produces, whoever's client is in it: told to the harness, measured in the same way. */
import type { LatencyRecorder } from '../measure/latency.ts'
import { LoopDelayMeter } from '../measure/loop-delay.ts'
import { SeriesRecorder } from '../measure/series.ts'
import type { Channel } from './channel.ts'
import type { Payloads } from './payloads.ts'
import type { DriverResult, ProducerSpec } from './protocol.ts'

/** A client that sends the values of a pool round and round. */
export interface Producing {
  readonly latency: LatencyRecorder
  /** In all phases. */
  readonly sent: number
  /** Acknowledged so far. */
  readonly delivered: number
  /** Sends until `records` are sent or `seconds` are over; then waits for all acknowledgements. */
  run(records: number, seconds: number): Promise<{ records: number; seconds: number }>
  /** Ends the client, and tells what went wrong meanwhile. Throws where that makes the run worthless. */
  close(): Promise<{ errors: number; retries: number }>
}

export async function producePhases(
  driver: Producing,
  spec: ProducerSpec,
  payloads: Payloads,
  channel: Channel,
): Promise<DriverResult> {
  await channel.send({ type: 'ready' })
  await channel.started

  if (spec.warmUpSeconds > 0) await driver.run(Number.MAX_SAFE_INTEGER, spec.warmUpSeconds)
  driver.latency.reset()
  const loopDelay = new LoopDelayMeter()
  const series = new SeriesRecorder(() => driver.delivered)
  const progress = setInterval(() => {
    void channel.send({ type: 'progress', records: driver.delivered })
  }, 500)
  await channel.send({ type: 'measuring' })
  series.start()
  const measured = await driver.run(spec.records, spec.seconds)
  const points = series.stop()
  await channel.send({ type: 'measured' })
  clearInterval(progress)
  return {
    ...measured,
    ...(await driver.close()),
    checksum: payloads.checksumOf(driver.sent),
    latency: driver.latency.encode(),
    series: points,
    loopDelay: loopDelay.stop(),
  }
}
