/** `--fail-if` in words: `p99>+10%`, `rate<-5%`, several separated by commas. */
import { UsageError } from '../options.ts'
import { type MeasureName, measures } from './measures.ts'

export interface Rule {
  readonly text: string
  readonly measure: MeasureName
  readonly direction: '>' | '<'
  /** A share: 0.1 is a tenth more than before. */
  readonly change: number
}

/** Throws UsageError. */
export function parseRules(text: string): Rule[] {
  return text.split(',').map((part) => {
    const rule = part.trim()
    const found = /^(\S+?)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%$/.exec(rule)
    const measure = measures.find((name) => name === found?.[1])
    if (found === null || measure === undefined) {
      throw new UsageError(`--fail-if ${rule}: such as p99>+10% or rate<-5%, of ${measures.join(', ')}`)
    }
    const change = Number(found[3]) / 100
    return { text: rule, measure, direction: found[2] as '<' | '>', change }
  })
}
