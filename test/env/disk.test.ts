import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { nodeDisk } from '../../src/env/node/disk.ts'
import { descriptorsOn, temporaryDirectory } from './temporary-directory.ts'

const bytes = (text: string) => new Uint8Array(Buffer.from(text))

describe('nodeDisk', () => {
  test('open read needs the file, open create needs it missing, open write takes both', async () => {
    const path = join(temporaryDirectory(), 'file')
    await expect(nodeDisk.open(path, 'read')).rejects.toMatchObject({ code: 'PAGELOG_NOT_FOUND', path })
    const nowhere = join(path, 'no', 'such', 'directory')
    await expect(nodeDisk.open(nowhere, 'read')).rejects.toMatchObject({ code: 'PAGELOG_NOT_FOUND' })
    await expect(nodeDisk.open(nowhere, 'write')).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
    const created = await nodeDisk.open(path, 'create')
    await created.write([bytes('abc')], 0)
    await created.close()
    await expect(nodeDisk.open(path, 'create')).rejects.toMatchObject({ cause: { code: 'EEXIST' } })
    const again = await nodeDisk.open(path, 'write')
    expect(again.size).toBe(3)
    await again.write([bytes('B')], 1)
    await again.close()
    expect(readFileSync(path, 'utf8')).toBe('aBc')
    const other = await nodeDisk.open(`${path}2`, 'write')
    expect(other.size).toBe(0)
    await other.close()
  })

  test('readFile and status answer undefined for what is missing', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'file')
    expect(await nodeDisk.readFile(path)).toBeUndefined()
    expect(await nodeDisk.status(path)).toBeUndefined()
    writeFileSync(path, 'hello')
    expect(Buffer.from((await nodeDisk.readFile(path))!).toString()).toBe('hello')
    expect(await nodeDisk.status(path)).toMatchObject({ size: 5, isDirectory: false })
    expect((await nodeDisk.status(path))!.modifiedMs).toBe(statSync(path).mtimeMs)
    expect(await nodeDisk.status(directory)).toMatchObject({ isDirectory: true })
  })

  test('replaceFile leaves the new content and nothing beside it', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'checkpoint')
    await nodeDisk.replaceFile(path, bytes('first'))
    await nodeDisk.replaceFile(path, bytes('2nd'))
    expect(readFileSync(path, 'utf8')).toBe('2nd')
    expect(await nodeDisk.list(directory)).toEqual(['checkpoint'])
    expect(descriptorsOn(directory)).toBe(0)
    expect(descriptorsOn(`${path}.tmp`)).toBe(0)
  })

  test('replaceFile that fails leaves the old content and nothing beside it', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'taken')
    mkdirSync(join(path, 'inside'), { recursive: true })
    await expect(nodeDisk.replaceFile(path, bytes('x'))).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', path })
    expect(await nodeDisk.list(directory)).toEqual(['taken'])
    await expect(nodeDisk.replaceFile(join(directory, 'no', 'file'), bytes('x'))).rejects.toMatchObject({
      cause: { code: 'ENOENT' },
    })
  })

  test('makes, lists and removes directories', async () => {
    const directory = join(temporaryDirectory(), 'a', 'b')
    await nodeDisk.makeDirectory(directory)
    await nodeDisk.makeDirectory(directory)
    for (const name of ['t-10', 't-9', 'B', 'a']) writeFileSync(join(directory, name), '')
    expect(await nodeDisk.list(directory)).toEqual(['B', 'a', 't-10', 't-9'])
    await nodeDisk.syncDirectory(directory)
    await nodeDisk.removeDirectory(directory)
    await nodeDisk.removeDirectory(directory)
    expect(await nodeDisk.status(directory)).toBeUndefined()
    await expect(nodeDisk.list(directory)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE', path: directory })
    await expect(nodeDisk.syncDirectory(directory)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
  })

  test('removeDirectory does not follow links out of it', async () => {
    const directory = temporaryDirectory()
    mkdirSync(join(directory, 'outside'))
    mkdirSync(join(directory, 'topic'))
    writeFileSync(join(directory, 'outside', 'kept'), '')
    symlinkSync(join(directory, 'outside'), join(directory, 'topic', 'link'))
    await nodeDisk.removeDirectory(join(directory, 'topic'))
    expect(await nodeDisk.list(join(directory, 'outside'))).toEqual(['kept'])
  })

  test('renames over what is there; unlink of nothing does nothing', async () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, 'a'), 'new')
    writeFileSync(join(directory, 'b'), 'old')
    await nodeDisk.rename(join(directory, 'a'), join(directory, 'b'))
    expect(readFileSync(join(directory, 'b'), 'utf8')).toBe('new')
    await expect(nodeDisk.rename(join(directory, 'a'), join(directory, 'c'))).rejects.toMatchObject({
      code: 'PAGELOG_STORAGE',
      cause: { code: 'ENOENT' },
    })
    await nodeDisk.unlink(join(directory, 'b'))
    await nodeDisk.unlink(join(directory, 'b'))
    await expect(nodeDisk.unlink(directory)).rejects.toMatchObject({ code: 'PAGELOG_STORAGE' })
  })

  test('tells the free space', async () => {
    expect(await nodeDisk.freeSpace(temporaryDirectory())).toBeGreaterThan(0)
  })
})
