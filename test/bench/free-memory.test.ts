/** All memory is used once before a run: what of it can be seen without filling a machine. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { memoryIn, useMemory } from '../../bench/measure/free-memory.ts'

test('what there is is read out of meminfo', () => {
  const meminfo = 'MemTotal:       24684000 kB\nMemFree:          102400 kB\nMemAvailable:   23000000 kB\n'
  expect(memoryIn(meminfo)).toEqual({ total: 24_684_000 * 1024, available: 23_000_000 * 1024 })
  expect(memoryIn('')).toEqual({ total: 0, available: 0 })
})

test('holes are read that take no room on the disk, others each time', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-free-memory-'))
  try {
    const { signal } = new AbortController()
    const bounded = { available: 40 << 20, total: 128 << 20 }
    expect(await useMemory(directory, signal, bounded)).toBe(32 << 20)
    expect(await useMemory(directory, signal, { ...bounded, available: 10 << 20 })).toBe(2 << 20)
    expect(await useMemory(directory, signal, { ...bounded, available: 1 << 20 })).toBe(0)
    expect(readdirSync(directory)).toEqual(['free-memory'])
    const { size, blocks } = statSync(join(directory, 'free-memory'))
    expect([size, blocks]).toEqual([34 << 20, 0])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})

test('an abort ends it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pagelog-free-memory-'))
  try {
    const signal = AbortSignal.abort()
    await useMemory(directory, signal, { available: 2 ** 42, total: 2 ** 42 })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
