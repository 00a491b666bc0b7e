/** What a pagelog target may be given besides what every target is. */
import type { Place } from '../netns/placement.ts'
import type { TargetOptions } from './target.ts'

export interface PagelogOptions extends TargetOptions {
  readonly signal?: AbortSignal
  /** The node that runs it, by default ours. */
  readonly node?: string
  /** Where it lives, by default beside us on loopback. */
  readonly place?: Place
}
