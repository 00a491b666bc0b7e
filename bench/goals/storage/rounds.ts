/** Turns: what is compared runs alternately in slices, forwards and backwards, so that a drift of the machine meets all. */
import { pairedRatio, type Summary, summarize } from '../../measure/statistics.ts'

/** Results by contestant, in the order of the rounds. */
export type Rounds<Name extends string> = Record<Name, number[]>

export async function takeTurns<Name extends string>(
  rounds: number,
  contestants: Readonly<Record<Name, () => Promise<number>>>,
  onSlice: (name: Name, round: number, result: number) => void = () => {},
): Promise<Rounds<Name>> {
  const names = Object.keys(contestants) as Name[]
  const results = Object.fromEntries(names.map((name) => [name, []])) as unknown as Rounds<Name>
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? names : [...names].reverse()
    for (const name of order) {
      const result = await contestants[name]()
      results[name].push(result)
      onSlice(name, round, result)
    }
  }
  return results
}

/** Of round i, the best of several contestants. */
export function bestOf(...results: readonly (readonly number[])[]): number[] {
  return results[0]!.map((_, round) => Math.max(...results.map((one) => one[round]!)))
}

export interface Comparison {
  readonly ratio: Summary
  readonly ours: Summary
  readonly theirs: Summary
}

/** Ratios round by round: both met the same minute of the machine. */
export function compare(ours: readonly number[], theirs: readonly number[]): Comparison {
  return { ratio: pairedRatio(ours, theirs)!, ours: summarize(ours), theirs: summarize(theirs) }
}

/** `0.82 (0.71 – 0.90)`. */
export function withSpread({ median, low, high }: Summary, format: (value: number) => string): string {
  return `${format(median)} (${format(low)} – ${format(high)})`
}
