import { expect, test } from 'vitest'
import { parseProperties } from '../../src/cli/properties.ts'

test.each([
  ['a=b', { a: 'b' }],
  ['  a  =  b c  ', { a: 'b c' }],
  ['a:b', { a: 'b' }],
  ['a b', { a: 'b' }],
  ['a=b=c', { a: 'b=c' }],
  ['# x\n! y\n\n a=1\r\nb=2', { a: '1', b: '2' }],
  ['a=1\na=2', { a: '2' }],
  ['a=one,\\\n   two', { a: 'one,two' }],
  ['a=\\\\', { a: '\\' }],
  ['a=\\\\\nb=1', { a: '\\', b: '1' }],
  ['a=\\t\\u20ac\\x', { a: '\t€x' }],
  ['a\\=b=c', { 'a=b': 'c' }],
  ['a=', { a: '' }],
  ['a', { a: '' }],
  ['listeners=PLAINTEXT://:9092', { listeners: 'PLAINTEXT://:9092' }],
])('%j', (text, expected) => {
  expect(Object.fromEntries(parseProperties(text))).toEqual(expected)
})
