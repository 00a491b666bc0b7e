/** What `verify` says of a log. */

export type LogProblemKind =
  | 'batch-crc' // bytes of a batch are not those that were written
  | 'batch-structure' // no batch where one begins: its length or version cannot be
  | 'batch-cut-off' // a batch reaches beyond its file
  | 'batch-records' // the records do not fill their batch, or their offsets are not those of the batch
  | 'offset-order' // a batch has other offsets than its place in the log
  | 'leader-epoch' // a batch has another leader epoch than leader-epoch-checkpoint says
  | 'segment-order' // a segment begins before the one in front of it ends
  | 'file-missing'
  | 'offset-index' // an entry does not lead to the batch that it names, or cannot be one
  | 'time-index' // timestamps do not rise, or are not those of the batches named
  | 'transaction-index' // not the aborted transactions of the segment
  | 'producer-snapshot' // no snapshot by its checksum, or not what the batches say
  | 'leader-epoch-checkpoint' // no such file by its form

export interface LogProblem {
  readonly kind: LogProblemKind
  /** Of the file. */
  readonly path: string
  /** In the file; -1 where it concerns the whole of it. */
  readonly position: number
  /** That was expected there, or that an entry names; -1 when there is none. */
  readonly offset: number
  /** Damaged bytes from `position` on, of a batch that is not one; else 0. */
  readonly bytes: number
  readonly message: string
}

export interface VerifyProgress {
  readonly segments: number
  readonly batches: number
  readonly records: number
  /** Looked at, of `.log` files. */
  readonly bytes: number
  readonly bytesTotal: number
}

export interface VerifyReport extends VerifyProgress {
  readonly directory: string
  /** In the order of the log; at most a thousand of them. */
  readonly problems: readonly LogProblem[]
  /** All that were found. */
  readonly problemCount: number
  readonly logEndOffset: number
}

const PROBLEMS_MAX = 1000

/** Gathers a report. */
export class VerifyFindings {
  readonly problems: LogProblem[] = []
  problemCount = 0
  segments = 0
  batches = 0
  records = 0
  bytes = 0
  logEndOffset = 0

  add(
    kind: LogProblemKind,
    path: string,
    message: string,
    where: { position?: number; offset?: number; bytes?: number } = {},
  ): void {
    this.problemCount++
    if (this.problems.length >= PROBLEMS_MAX) return
    const { position = -1, offset = -1, bytes = 0 } = where
    this.problems.push({ kind, path, position, offset, bytes, message })
  }

  reportOf(directory: string, bytesTotal: number): VerifyReport {
    const { problems, problemCount, segments, batches, records, bytes, logEndOffset } = this
    return { directory, problems, problemCount, segments, batches, records, bytes, bytesTotal, logEndOffset }
  }
}
