/** Whether zstd is at hand: Node has it since 22.15, the package zstd-napi brings it elsewhere. */
import { Compression, loadCodec } from '../src/record/index.ts'

export const hasZstd: boolean = await loadCodec(Compression.ZSTD).then(
  () => true,
  () => false,
)
