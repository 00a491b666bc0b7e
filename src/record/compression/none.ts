/** No compression: the codec for code that treats all alike. */
import { Compression } from '../batch-header.ts'
import { type Codec, copyBehindRoom, tooLarge } from './codec.ts'

export const noneCodec: Codec = {
  compression: Compression.NONE,
  name: 'none',
  compress: (records, _level, room = 0) => copyBehindRoom(records, room),
  decompress(bytes, maxBytes, room = 0, memory) {
    if (bytes.length > maxBytes) throw tooLarge('none', maxBytes)
    return copyBehindRoom(bytes, room, memory)
  },
}
