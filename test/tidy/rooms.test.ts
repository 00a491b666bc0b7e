/**
 * The house rules that a machine can check: which room may import which (docs/architecture.md), who may touch the
 * outside world, and how long files and functions may grow. No parser: sources are plain enough for lines and braces.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

const lower = ['base', 'native', 'env', 'record', 'log', 'protocol', 'net', 'metadata', 'replication'] as const
const rooms: Readonly<Record<string, readonly string[]>> = {
  base: [],
  native: ['base'],
  env: ['base', 'native'],
  record: ['base', 'native', 'env'],
  log: ['base', 'env', 'record'],
  protocol: ['base', 'record'],
  net: ['base', 'env', 'protocol'],
  metadata: ['base', 'env', 'log'],
  replication: lower,
  broker: lower,
  supervisor: ['base', 'env', 'metadata'],
  client: ['base', 'native', 'env', 'record', 'protocol', 'net'],
  testing: ['base', 'env', 'broker', 'client'],
  bench: ['base', 'client', 'supervisor', 'native', 'env', 'log', 'record', 'protocol', 'net'],
  cli: [...lower, 'broker', 'client', 'supervisor', 'testing', 'bench'],
}

/** Where node: modules may be used besides env/node, which is their home. */
const nodeModuleExceptions: Readonly<Record<string, readonly string[]>> = {
  'src/env/node/': ['*'],
  'src/native/': ['node:fs', 'node:module', 'node:path', 'node:url', 'node:process'],
  // A codec and a checksum: pure functions, no outside world.
  'src/record/': ['node:zlib'],
  // The client of etcd, and the server that speaks its words: plain HTTP.
  'src/metadata/http-calls.ts': ['node:http', 'node:https'],
  'src/metadata/metadata-server.ts': ['node:http'],
  'src/metadata/served-watch.ts': ['node:http'],
  'src/cli/': ['*'],
  'src/testing/': ['node:fs', 'node:fs/promises', 'node:os', 'node:path'],
}

const worldly = [
  /\bDate\.now\b/,
  /\bDate\(/,
  /\bperformance\.now\b/,
  /\bMath\.random\b/,
  /\b(?:setTimeout|setInterval|setImmediate)\(/,
  /\bprocess\.(?:nextTick|hrtime|exit|getBuiltinModule)\b/,
  /\bcrypto\.(?:randomUUID|getRandomValues)\b/,
]

interface Source {
  readonly path: string
  readonly room: string
  readonly text: string
}

function sourcesBelow(folder: string): Source[] {
  const found: Source[] = []
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue
    const path = relative(root, join(entry.parentPath, entry.name))
    if (path.includes('node_modules') || path.startsWith('bench/peers')) continue
    const room = path.startsWith('bench/') ? 'bench' : path.split('/')[1]!
    found.push({ path, room, text: readFileSync(join(root, path), 'utf8') })
  }
  return found
}

const sources = [...sourcesBelow('src'), ...sourcesBelow('bench')]

function importsOf(source: Source): string[] {
  const code = source.text.replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, '')
  return [...code.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'([^']+)'/gm)].map((match) => match[1]!)
}

/** Undefined for what is no room: tests, scripts, other files of the package. */
function roomOf(path: string): string | undefined {
  return path.startsWith('bench/') ? 'bench' : path.startsWith('src/') ? path.split('/')[1] : undefined
}

describe('rooms', () => {
  test('every folder of src is a room of the table', () => {
    const folders = readdirSync(join(root, 'src'))
    expect(folders.filter((folder) => !(folder in rooms))).toEqual([])
  })

  test('a room imports only what the table allows, through index.ts', () => {
    const offences: string[] = []
    for (const source of sources) {
      for (const target of importsOf(source)) {
        if (!target.startsWith('.')) continue
        const path = relative(root, resolve(root, dirname(source.path), target))
        const room = roomOf(path)
        if (room === source.room) continue
        if (room === undefined || !rooms[source.room]?.includes(room))
          offences.push(`${source.path}: ${source.room} may not import ${room}`)
        const door = source.room === 'cli' && room === 'bench' ? /\/cli\.(?:ts|js)$/ : /\/index\.ts$/
        if (!door.test(path)) offences.push(`${source.path}: ${path} is inside another room, import its index.ts`)
      }
    }
    expect(offences).toEqual([])
  })

  test('nothing re-exports everything', () => {
    expect(sources.filter((source) => /^export \*/m.test(source.text)).map((source) => source.path)).toEqual([])
  })
})

describe('the outside world', () => {
  const core = sources.filter((source) => source.path.startsWith('src/'))

  test('node: modules are used in env/node only, with the named exceptions', () => {
    const offences: string[] = []
    for (const source of core) {
      const allowed = Object.entries(nodeModuleExceptions).find(([prefix]) => source.path.startsWith(prefix))?.[1] ?? []
      for (const target of importsOf(source)) {
        if (!isBuiltin(target)) continue
        if (!allowed.includes('*') && !allowed.includes(target)) offences.push(`${source.path}: ${target}`)
      }
    }
    expect(offences).toEqual([])
  })

  test('time, timers and chance come from Env', () => {
    const offences: string[] = []
    for (const source of core) {
      if (source.path.startsWith('src/env/node/') || source.path.startsWith('src/cli/')) continue
      source.text.split('\n').forEach((line, index) => {
        if (/^\s*(?:\/\/|\*|\/\*)/.test(line)) return
        if (worldly.some((pattern) => pattern.test(line))) offences.push(`${source.path}:${index + 1}: ${line.trim()}`)
      })
    }
    expect(offences).toEqual([])
  })
})

/** The line that opens a function's body: all on one line, the end of a long parameter list, or an arrow. */
const functionStart =
  /^(\s*)(?:(?:export )?(?:default )?(?:(?:public |static |async |get |set |override |function\*? |\*|#)*)[\w$#]+(?:<[^>]*>)?\(.*\{|\)(?:: .*)? (?:=> )?\{|.*=> \{)$/

describe('size', () => {
  test('a file is one noun: at most 500 lines', () => {
    const long = sources.map((source) => `${source.path}: ${source.text.split('\n').length}`)
    expect(long.filter((line) => Number(line.split(': ')[1]) > 500)).toEqual([])
  })

  test('a function fits a screen: at most 70 lines', () => {
    const offences: string[] = []
    for (const source of sources) {
      const lines = source.text.split('\n')
      lines.forEach((line, index) => {
        const start = functionStart.exec(line)
        if (!start || /^\s*(?:if|for|while|switch|catch|return|describe|test|it)\b/.test(line)) return
        const indent = start[1]!
        const end = lines.findIndex(
          (other, at) => at > index && other.startsWith(`${indent}}`) && !/^\s*\} (?:else|catch|finally)/.test(other),
        )
        if (end - index + 1 > 70) offences.push(`${source.path}:${index + 1}: ${end - index + 1} lines`)
      })
    }
    expect(offences).toEqual([])
  })

  test('no left-overs', () => {
    const mark = new RegExp(['TO', 'DO|FIX', 'ME|X', 'XX'].join(''))
    expect(sources.filter((source) => mark.test(source.text)).map((source) => source.path)).toEqual([])
  })
})
