import { describe, expect, test } from 'vitest'
import { ErrorCode, errorOf, kafkaErrors } from '../../src/base/index.ts'

describe('error codes', () => {
  test('are all those of Kafka 4.1, without a gap', () => {
    expect(kafkaErrors.map((error) => error.code)).toEqual(Array.from({ length: 135 }, (_, i) => i - 1))
    expect(new Set(kafkaErrors.map((error) => error.name)).size).toBe(135)
    expect(Object.keys(ErrorCode)).toEqual(kafkaErrors.map((error) => error.name))
  })

  test('are found by name and by number', () => {
    expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER).toBe(45)
    expect(errorOf(3)).toMatchObject({ name: 'UNKNOWN_TOPIC_OR_PARTITION', code: 3, retriable: true })
    expect(errorOf(0)).toMatchObject({ name: 'NONE', retriable: false })
    for (const error of kafkaErrors) expect(errorOf(error.code)).toBe(error)
  })

  test('of a newer broker keep their number and are not retriable', () => {
    for (const code of [134, 32767, -2]) {
      expect(errorOf(code)).toMatchObject({ name: 'UNKNOWN_SERVER_ERROR', code, retriable: false })
    }
  })

  test('each have a text of their own', () => {
    expect(new Set(kafkaErrors.map((error) => error.message)).size).toBe(135)
  })
})
