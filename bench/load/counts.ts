/** Records of the measured phase of a load, and what became of them. */
export interface LoadCounts {
  /** Closed loop: as many as were sent. */
  readonly intended: number
  readonly sent: number
  readonly acknowledged: number
  readonly failed: number
  /** Without an answer when the drain was over, and those that could not even be sent. */
  readonly unfinished: number
}
