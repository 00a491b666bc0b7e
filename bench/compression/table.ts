/** The result as two tables for a terminal: codecs on one core, producers through the broker. */
import { formatMs, formatRate } from '../measure/progress.ts'
import { alignColumns } from '../report/table.ts'
import type { CompressionResult, SpeedResult, ThroughputResult } from './result.ts'

export function codecTitle({ codec, level }: Pick<SpeedResult, 'codec' | 'level'>): string {
  return level === null ? codec : `${codec} ${level}`
}

export function clientTitle({ client, workers }: Pick<ThroughputResult, 'client' | 'workers'>): string {
  return workers === null ? client : `${client}, ${workers} workers`
}

export const speedHeads = ['payload', 'codec', 'batch', 'ratio', 'compress MB/s', 'decompress MB/s'] as const
export const throughputHeads = [
  'payload',
  'codec',
  'batch',
  'client',
  'rec/s',
  'MB/s',
  'p99',
  'loop delay p99',
  'cores',
] as const

export function speedRow(one: SpeedResult): string[] {
  const { payload, batchBytes, ratio, compress, decompress } = one
  const size = `${batchBytes >> 10} KiB`
  return [payload, codecTitle(one), size, ratio.toFixed(2), compress.toFixed(0), decompress.toFixed(0)]
}

export function throughputRow(one: ThroughputResult): string[] {
  return [
    one.payload,
    codecTitle(one),
    `${one.batchBytes >> 10} KiB`,
    clientTitle(one),
    formatRate(one.recordsPerSecond),
    one.megabytesPerSecond.toFixed(0),
    one.latencyP99Ms === null ? '' : formatMs(one.latencyP99Ms),
    one.eventLoopDelayMs === null ? '' : formatMs(one.eventLoopDelayMs.p99),
    one.coresUsed === null ? '' : one.coresUsed.toFixed(2),
  ]
}

export function formatCompression(result: CompressionResult): string {
  const { machine, commit, settings } = result
  return [
    ...alignColumns([[...speedHeads], ...result.speeds.map(speedRow)]),
    '',
    ...alignColumns([[...throughputHeads], ...result.throughput.map(throughputRow)]),
    '',
    ...result.failures.map(({ what, error }) => `FAILED ${what}: ${error.split('\n')[0]}`),
    `${result.complete ? '' : 'INCOMPLETE. '}One run each, for orientation; MB/s of one core are by CPU time; ${settings.partitions} ` +
      `partitions, linger 5 ms, acks 1; ${machine.cores} × ${machine.cpu}, ${machine.kernel}, node ${machine.node}` +
      `${commit === null ? '' : `, commit ${commit}`}`,
  ].join('\n')
}
