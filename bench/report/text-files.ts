/** Rows as CSV (RFC 4180) and as a Markdown table, and HDR histogram logs (version 1.3). */
import * as hdr from 'hdr-histogram-js'
import type { LatencyInterval } from '../load/intervals.ts'

export type Cell = string | number | null

export function toCsv(rows: readonly (readonly Cell[])[]): string {
  const quoted = (cell: Cell) => {
    const text = cell === null ? '' : String(cell)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return `${rows.map((row) => row.map(quoted).join(',')).join('\r\n')}\r\n`
}

/** The first row is the head; the first `names` columns are text, the others figures. */
export function toMarkdown(rows: readonly (readonly Cell[])[], names = 1): string {
  const [head, ...body] = rows
  if (head === undefined) return ''
  const line = (row: readonly Cell[]) =>
    `| ${row.map((cell) => (cell === null ? '' : String(cell)).replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  const rule = `| ${head.map((_, index) => (index < names ? '---' : '---:')).join(' | ')} |`
  return `${[line(head), rule, ...body.map(line)].join('\n')}\n`
}

/** Readable by HdrHistogram's own log tools. Values are microseconds. */
export function toHdrLog(intervals: readonly LatencyInterval[], startedAt: string, comment: string): string {
  let text = ''
  const writer = new hdr.HistogramLogWriter((written: string) => {
    text += written
  })
  writer.outputComment(comment)
  writer.outputLogFormatVersion()
  writer.outputStartTime(Date.parse(startedAt))
  writer.outputLegend()
  for (const { startSeconds: from, seconds, latency } of intervals) {
    writer.outputIntervalHistogram(hdr.decodeFromCompressedBase64(latency), from, from + seconds, 1000)
  }
  return text
}
