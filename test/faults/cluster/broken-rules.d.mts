import type { ReplicationRules } from '../../../src/replication/index.ts'

export type BrokenRule =
  | 'ack before write'
  | 'truncate by high watermark'
  | 'no epoch check'
  | 'no leader epoch check'
  | 'ISR change without compare'
  | 'ISR change compared too early'
  | 'zombie leader acks'

export function brokenRules(sound: ReplicationRules): Record<BrokenRule, ReplicationRules>
