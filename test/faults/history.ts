/**
 * What a workload (workload.mjs) told: for every log, which records were sent, which were answered and where, and what
 * was being done to it when the telling stopped. check-directory.ts holds a directory against it.
 */

export interface WorkloadEvent {
  readonly what: string
  readonly log?: string
  readonly id?: number
  readonly count?: number
  /** Of the records of an append to a compacted log; those of tombstones end in ` -`. */
  readonly keys?: readonly string[]
  readonly baseSequence?: number
  readonly base?: number
  readonly last?: number
  readonly durable?: boolean
  readonly clean?: boolean
  readonly to?: number
  readonly code?: string
  readonly message?: string
  readonly [other: string]: unknown
}

export interface Answered {
  /** Of the record: `<id>.<at>`. */
  readonly name: string
  /** Answered only after it was on the device, or followed by something that was. */
  isDurable: boolean
  /** A truncation under way may have removed it already. */
  mayBeCut: boolean
}

export class LogHistory {
  /** Undefined: it is being made or removed. */
  exists: boolean | undefined
  /** Appends by id: how many records; whether they may be found. */
  readonly sent = new Map<number, { readonly count: number; isVoid: boolean; readonly hasProducer: boolean }>()
  /** What was answered, by offset. */
  readonly answered = new Map<number, Answered>()
  /** By record, in a log that may be compacted; empty in others. */
  readonly keys = new Map<string, string>()
  startAtLeast = 0
  startAtMost = 0

  /** Exclusive end of what was answered; of what was durable when `isDurable` is asked for. */
  end(isDurable = false): number {
    let end = 0
    for (const [offset, answered] of this.answered) {
      if (!answered.mayBeCut && (answered.isDurable || !isDurable)) end = Math.max(end, offset + 1)
    }
    return end
  }

  /** Everything before `end` is on the device. */
  synced(end: number): void {
    for (const [offset, answered] of this.answered) if (offset < end) answered.isDurable = true
  }
}

export class History {
  readonly logs = new Map<string, LogHistory>()
  readonly events: readonly WorkloadEvent[]

  constructor(events: readonly WorkloadEvent[]) {
    this.events = events
    for (const event of events) {
      if (event.log !== undefined) this.#logEvent(this.#log(event.log), event)
      else if (event.what === 'closed' && event.clean) for (const log of this.logs.values()) log.synced(Infinity)
    }
  }

  has(what: string): boolean {
    return this.events.some((event) => event.what === what)
  }

  #log(name: string): LogHistory {
    const found = this.logs.get(name)
    if (found !== undefined) return found
    const fresh = new LogHistory()
    this.logs.set(name, fresh)
    return fresh
  }

  #logEvent(log: LogHistory, event: WorkloadEvent): void {
    const { id = -1, to = 0 } = event
    switch (event.what) {
      case 'append':
        for (const [at, key] of (event.keys ?? []).entries()) log.keys.set(`${id}.${at}`, key)
        log.sent.set(id, { count: event.count!, isVoid: false, hasProducer: event.baseSequence !== undefined })
        break
      case 'refused':
        // Refused for want of space means nothing kept; after anything else the bytes may have reached the file.
        if (event.code === 'PAGELOG_DISK_FULL') log.sent.get(id)!.isVoid = true
        break
      case 'appended':
        for (let offset = event.base!; offset <= event.last!; offset++) {
          log.answered.set(offset, { name: `${id}.${offset - event.base!}`, isDurable: false, mayBeCut: false })
        }
        if (event.durable) log.synced(event.last! + 1)
        break
      case 'creating':
        log.exists ||= undefined
        break
      case 'created':
        log.exists = true
        break
      case 'removing':
        log.exists = undefined
        break
      case 'removed':
        this.logs.set(event.log!, Object.assign(new LogHistory(), { exists: false }))
        break
      case 'trimming': // retention and trimming alike: the log start moves to `to` at most
        log.startAtMost = Math.max(log.startAtMost, to)
        break
      case 'trimmed':
        log.startAtLeast = Math.max(log.startAtLeast, to)
        log.startAtMost = Math.max(log.startAtMost, to)
        break
      case 'truncating':
        for (const [offset, answered] of log.answered) if (offset >= to) answered.mayBeCut = true
        break
      case 'truncated':
        for (const [offset, { name }] of [...log.answered]) {
          if (offset < to) continue
          log.answered.delete(offset)
          log.sent.get(Number.parseInt(name, 10))!.isVoid = true
        }
        break
      case 'compacting':
      case 'compacted':
        break // changes nothing that has to be found
      default:
        throw new Error(`a workload told what nobody knows: ${JSON.stringify(event)}`)
    }
  }
}
