/** Where outputs lie: in memory of the caller's, which is used again, or in a buffer of their own. */
import { describe, expect, it } from 'vitest'
import { checkLevel, reusedMemory } from '../../../src/record/index.ts'
import { availableCodecs, concat, lines, MAX_BYTES, noise } from './support.ts'

const codecs = await availableCodecs()
const ROOM = 61
/** The libraries of the others give buffers of their own, which are not copied. */
const intoOurs = new Set(['none', 'snappy', 'lz4'])

describe('memory that is used again', () => {
  it('is the same while it suffices, and grows', () => {
    const memory = reusedMemory(1000)
    const first = memory(100)
    expect(first).toHaveLength(100)
    expect(memory(50).buffer === first.buffer).toBe(true)
    const larger = memory(900)
    expect(larger).toHaveLength(900)
    expect(larger.buffer === first.buffer).toBe(false)
    expect(memory(100).buffer === larger.buffer).toBe(true)
  })

  it('beyond its bound is of its own, and not kept', () => {
    const memory = reusedMemory(1000)
    const kept = memory(1000)
    expect(memory(1001)).toHaveLength(1001)
    expect(memory(1000).buffer === kept.buffer).toBe(true)
  })
})

describe.each(codecs)('$name', (codec) => {
  const inputs = [
    lines(200),
    noise(70_000),
    lines(300_000),
    new Uint8Array(0),
    lines(65_536),
    concat(noise(10), lines(90)),
  ]
  const packed = inputs.map((input) => codec.compress(input, checkLevel(codec.name)))

  it('decompresses one after the other with the same memory', () => {
    const memory = reusedMemory(1 << 20)
    memory(1 << 20).fill(0xaa)
    const { buffer } = memory(1)
    for (const [index, bytes] of [...packed, ...packed.toReversed()].entries()) {
      const output = codec.decompress(bytes, MAX_BYTES, ROOM, memory)
      const input = [...inputs, ...inputs.toReversed()][index]!
      if (intoOurs.has(codec.name)) expect(output.buffer === buffer).toBe(true)
      expect(Buffer.compare(output.subarray(ROOM), input)).toBe(0)
    }
  })

  it('without it gives each output a buffer of its own', () => {
    const outputs = packed.map((bytes) => codec.decompress(bytes, MAX_BYTES, ROOM))
    expect(new Set(outputs.map(({ buffer }) => buffer)).size).toBe(outputs.length)
    for (const [index, output] of outputs.entries()) {
      expect(Buffer.compare(output.subarray(ROOM), inputs[index]!)).toBe(0)
    }
  })

  it('compressed outputs have buffers of their own, alone in them', () => {
    const again = inputs.map((input) => codec.compress(input, checkLevel(codec.name), ROOM))
    expect(new Set(again.map(({ buffer }) => buffer)).size).toBe(again.length)
    for (const [index, output] of again.entries()) {
      expect(output.byteOffset).toBe(0)
      expect(Buffer.compare(output.subarray(ROOM), packed[index]!)).toBe(0)
    }
  })
})
