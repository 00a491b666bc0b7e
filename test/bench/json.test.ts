import { describe, expect, test } from 'vitest'
import { toJson } from '../../bench/report/json.ts'

describe('JSON of a result', () => {
  test('what fits on a line stands on one, everything else a field a line', () => {
    const series = Array.from({ length: 9 }, (_, i) => ({ atSeconds: i, recordsPerSecond: 1e6 + i }))
    const text = toJson({ kind: 'x', series, empty: [], nothing: null })
    expect(text.split('\n').slice(0, 4)).toEqual([
      '{',
      ' "kind": "x",',
      ' "series": [',
      '  {"atSeconds":0,"recordsPerSecond":1000000},',
    ])
    expect(text.endsWith('\n}\n')).toBe(true)
    expect(JSON.parse(text)).toEqual({ kind: 'x', series, empty: [], nothing: null })
  })

  test('whole numbers keep all digits, fractions nine', () => {
    const numbers = {
      bytes: 25_276_510_208,
      rate: 2_236_050.3720381954,
      tiny: 1.23456789012e-7,
      text: '0.1234567890123',
    }
    const expected = { bytes: 25_276_510_208, rate: 2_236_050.37, tiny: 1.23456789e-7, text: '0.1234567890123' }
    expect(JSON.parse(toJson(numbers))).toEqual(expected)
  })

  test('what JSON leaves out is left out', () => {
    expect(toJson({ a: undefined, b: Number.NaN, c: [undefined] })).toBe('{"b":null,"c":[null]}\n')
  })
})
