/** What became of a transaction whose answer was lost, for transactions that leave something only they can have written. */
import { hasCode } from '../base/index.ts'
import type { TransactionResult } from './store.ts'

/**
 * `attempt`, or after PAGELOG_OUTCOME_UNKNOWN what `look` finds in the store. A transaction can still be on its way when
 * `look` is made, so "not there" is no proof: the unknown outcome then stays an error, and the caller begins anew with
 * another mark.
 */
export async function settled(
  attempt: () => Promise<TransactionResult>,
  look: () => Promise<TransactionResult>,
): Promise<TransactionResult> {
  try {
    return await attempt()
  } catch (error) {
    if (!hasCode(error, 'PAGELOG_OUTCOME_UNKNOWN')) throw error
    const found = await look().catch(() => undefined)
    if (found?.succeeded) return found
    throw error
  }
}
