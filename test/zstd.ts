/** Whether zstd is at hand: Node has it since 22.15, the package zstd-napi brings it elsewhere. */
import { Compression, loadCodec } from '../src/record/index.ts'

export const hasZstd: boolean = await loadCodec(Compression.ZSTD).then(
  () => true,
  () => false,
)

// A run that is there for zstd's sake (test/peers/zstd.compat.ts) is none without it.
if (process.env.PAGELOG_TEST_NEEDS_ZSTD !== undefined && !hasZstd) throw new Error('zstd is not at hand')
