/** What holds for every state of a partition that anybody writes to the metadata, and for two of them in a row. */
import type { PartitionValue } from '../../../src/metadata/index.ts'
import type { Violation } from '../../simulation/history.ts'

export class PartitionLaws {
  readonly violations: Violation[] = []
  readonly #last = new Map<string, PartitionValue>()

  see(topicId: string, state: (PartitionValue & { readonly index: number }) | undefined): void {
    if (state === undefined) return
    const { index, leader, leaderEpoch, partitionEpoch, isr } = state
    const key = `${topicId}/${index}`
    const last = this.#last.get(key)
    this.#last.set(key, state)
    const report = (text: string): void =>
      void this.violations.push({ verdict: 'unlawful state', partition: key, text })
    if (leader >= 0 && !isr.includes(leader)) report(`${leader} leads, in sync are ${isr.join()}`)
    if (last === undefined) return
    if (leaderEpoch < last.leaderEpoch) report(`leader epoch ${leaderEpoch} after ${last.leaderEpoch}`)
    if (partitionEpoch < last.partitionEpoch) report(`partition epoch ${partitionEpoch} after ${last.partitionEpoch}`)
    if (leader !== last.leader && leader >= 0 && leaderEpoch === last.leaderEpoch)
      report(`${last.leader} and ${leader} lead in epoch ${leaderEpoch}`)
  }
}
