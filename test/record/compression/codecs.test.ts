import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../../../src/base/index.ts'
import { checkLevel, codecLevels, codecName, codecNumber, loadCodec, loadedCodec } from '../../../src/record/index.ts'
import { availableCodecs, latin, lines, MAX_BYTES, noise, refusal } from './support.ts'

const codecs = await availableCodecs()

describe('codecs', () => {
  it('have Kafka’s names and numbers', () => {
    expect([0, 1, 2, 3, 4, 5, 7].map(codecName)).toEqual([
      'none',
      'gzip',
      'snappy',
      'lz4',
      'zstd',
      undefined,
      undefined,
    ])
    expect((['none', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const).map(codecNumber)).toEqual([
      0, 0, 1, 2, 3, 4,
    ])
    expect(codecs.map(({ compression, name }) => codecName(compression) === name)).not.toContain(false)
  })

  it('are loaded once', async () => {
    expect(await loadCodec(3)).toBe(await loadCodec(3))
    expect(loadedCodec(3)).toBe(await loadCodec(3))
    expect(loadedCodec(6)).toBeUndefined()
  })

  it.each([5, 6, 7, -1, 1.5, Number.NaN])('number %d is refused with Kafka’s code', async (number) => {
    await expect(loadCodec(number)).rejects.toMatchObject({
      code: 'PAGELOG_UNSUPPORTED',
      kafkaCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    })
  })

  it('zstd is there, or the error names the package to add', async () => {
    const outcome = await loadCodec(4).then(
      ({ name }) => ({ name }),
      ({ code, kafkaCode, message }) => ({ code, kafkaCode, message }),
    )
    if ('zstdCompressSync' in zlib || 'name' in outcome) expect(outcome).toEqual({ name: 'zstd' })
    else {
      expect(outcome).toMatchObject({ code: 'PAGELOG_UNSUPPORTED', kafkaCode: 76 })
      expect(outcome.message).toMatch(/Node 22\.15.*npm install zstd-napi/)
    }
  })

  it('are not imported before they are asked for', () => {
    const found = new Set<string>()
    const walk = (path: string): void => {
      if (found.has(path)) return
      found.add(path)
      const code = readFileSync(path, 'utf8')
      for (const [statement, target] of code.matchAll(
        /^(?:import|export)\s[^;]*?from '([^']+)'|^\} from '([^']+)'/gm,
      )) {
        if (/^(?:import|export) type /.test(statement)) continue
        if (target?.startsWith('.')) walk(resolve(dirname(path), target))
        else if (target !== undefined) found.add(target)
      }
    }
    const room = join(dirname(fileURLToPath(import.meta.url)), '../../../src/record')
    walk(join(room, 'index.ts'))
    expect([...found].filter((path) => /batch-compression\.ts$/.test(path))).toHaveLength(1)
    const late = /(?:none|gzip|snappy|lz4|zstd|legacy-converter)\.ts$|^(?:snappy|lz4-napi|xxhash-wasm|node:zlib)$/
    expect([...found].filter((path) => late.test(path))).toEqual([])
  })
})

describe('levels', () => {
  it('are those of Kafka’s settings', () => {
    for (const name of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
      const { min, max, default: usual } = codecLevels[name]
      expect(checkLevel(name)).toBe(usual)
      expect([min, max].map((level) => checkLevel(name, level))).toEqual([min, max])
      for (const level of [min - 1, max + 1, 1.5, Number.NaN]) {
        expect(refusal(() => checkLevel(name, level), 'PAGELOG_INVALID_SETTING')).toContain(`compression.${name}.level`)
      }
    }
    expect([codecLevels.gzip.default, codecLevels.lz4.default, codecLevels.zstd.default]).toEqual([-1, 9, 3])
  })

  it('gzip’s 0, which stores, is none of them', () => {
    expect(refusal(() => checkLevel('gzip', 0), 'PAGELOG_INVALID_SETTING')).toMatch(/-1 or 1 to 9/)
  })
})

describe.each(codecs.map((codec) => [codec.name, codec] as const))('%s', (name, codec) => {
  const level = codecLevels[name].default

  it.each([0, 1, 100, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072, 1_000_000])('%i bytes', (length) => {
    for (const records of [lines(length), noise(length), new Uint8Array(length)]) {
      const compressed = codec.compress(records, level)
      expect(latin(codec.decompress(compressed, length))).toBe(latin(records))
      expect(compressed.length).toBeLessThan(length + 64 + length / 500)
    }
  })

  it('leaves room in front in both directions, in a buffer of its own', () => {
    const records = lines(10_000)
    const plain = codec.compress(records, level)
    const compressed = codec.compress(records, level, 61)
    expect(latin(compressed.subarray(61))).toBe(latin(plain))
    const output = codec.decompress(plain, MAX_BYTES, 61)
    expect(latin(output.subarray(61))).toBe(latin(records))
    for (const bytes of [plain, compressed, output, codec.decompress(plain, MAX_BYTES)]) {
      expect(bytes.byteOffset).toBe(0)
      expect(bytes.byteLength).toBeGreaterThanOrEqual(bytes.buffer.byteLength / 2)
      expect(bytes.buffer).not.toBe(records.buffer)
    }
  })

  it('takes views into larger buffers', () => {
    const around = noise(20_000)
    const records = around.subarray(7_001, 15_007)
    const compressed = codec.compress(records, level)
    around.set(compressed, 11)
    const view = around.subarray(11, 11 + compressed.length)
    expect(latin(codec.decompress(view, MAX_BYTES))).toBe(latin(noise(20_000).subarray(7_001, 15_007)))
  })
})
