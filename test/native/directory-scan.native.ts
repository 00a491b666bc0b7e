import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { nodeEnv } from '../../src/env/index.ts'
import { fileCalls } from '../../src/native/index.ts'

if (fileCalls === undefined) {
  it('is not offered without the addon: the disk is asked call by call', () => {
    expect(nodeEnv().disk.scan).toBeUndefined()
  })
} else describe('scan of a directory', scans)

function scans(): void {
  const { disk } = nodeEnv()
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pagelog-scan-'))
  })
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  it('lists regular files by name with their sizes and the ends that are asked for', async () => {
    for (const [name, size] of [
      ['b.log', 10],
      ['a.log', 5000],
      ['c.log', 0],
      ['notes', 7],
    ] as const) {
      await writeFile(
        join(directory, name),
        Uint8Array.from({ length: size }, (_, index) => index & 0xff),
      )
    }
    await mkdir(join(directory, 'd.log'))
    await symlink(join(directory, 'a.log'), join(directory, 'e.log'))
    const files = await disk.scan!(directory, [
      { suffix: 'a.log', bytes: 4, lastOnly: false },
      { suffix: '.log', bytes: 100, lastOnly: true },
    ])
    expect(files.map(({ name, size, tail }) => [name, size, tail === undefined ? undefined : [...tail]])).toEqual([
      ['a.log', 5000, [4996 & 0xff, 4997 & 0xff, 4998 & 0xff, 4999 & 0xff]],
      ['b.log', 10, undefined],
      ['c.log', 0, []],
      ['notes', 7, undefined],
    ])
    expect(await disk.scan!(directory, [])).toHaveLength(4)
  })

  it('gives whole small files, and names that are not ASCII', async () => {
    await writeFile(join(directory, 'größe.txt'), 'abc')
    const [file] = await disk.scan!(directory, [{ suffix: '.txt', bytes: 65_536, lastOnly: false }])
    expect([file?.name, Buffer.from(file!.tail!).toString()]).toEqual(['größe.txt', 'abc'])
  })

  it('refuses what is no directory, and arguments that are none', async () => {
    await writeFile(join(directory, 'file'), '')
    for (const name of ['none', 'file']) {
      await expect(disk.scan!(join(directory, name), [])).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    }
    const scan = fileCalls!.scan as (...given: unknown[]) => Promise<ArrayBuffer>
    const wrong = [
      [],
      [directory],
      [directory, 5],
      [5, ''],
      [directory, 'all'],
      [directory, 'all x .log'],
      [directory, 'some 5 .log'],
      [directory, 'all 99999999 .log'],
    ]
    for (const given of wrong) expect(() => scan(...given)).toThrow(TypeError)
  })
}
