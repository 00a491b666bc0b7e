/** What a pagelog target may be given besides what every target is. */
import type { TargetOptions } from './target.ts'

export interface PagelogOptions extends TargetOptions {
  readonly signal?: AbortSignal
  /** The node that runs it, by default ours. */
  readonly node?: string
}
