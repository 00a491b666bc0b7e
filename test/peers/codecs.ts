/**
 * The codecs that a run tests: all that this Node has. Where it has no zstd, zstd.compat.ts runs these tests once more with
 * one that has, and PAGELOG_TEST_CODECS=zstd.
 */
import type { CodecName } from '../../src/record/index.ts'
import { hasZstd } from '../zstd.ts'

const only = process.env.PAGELOG_TEST_CODECS?.split(',')

export function testedCodecs<Name extends CodecName>(...names: readonly Name[]): Name[] {
  return names.filter((name) => (only === undefined ? name !== 'zstd' || hasZstd : only.includes(name)))
}
