/** Which of a leader's errors a consumer waits out: those that may pass, and one that says nothing but ends no reading. */
import { ErrorCode, errorOf } from '../base/index.ts'

export function isRetriedByConsumers(errorCode: number): boolean {
  return errorOf(errorCode).retriable || errorCode === ErrorCode.UNKNOWN_SERVER_ERROR
}
