/**
 * A real etcd to test against: the program that PAGELOG_ETCD names, or one on the PATH that is new enough, or a build of
 * its own source from a module of ten lines, made once and kept in the cache outside the repository.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { runToEnd } from '../../bench/process/children.ts'
import { cacheDirectory } from '../../bench/process/package-root.ts'

const VERSION = '3.6.16'

const MODULE = `module pagelog.test/etcd

go 1.24

require go.etcd.io/etcd/server/v3 v${VERSION}
`

const MAIN = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`

let found: Promise<string> | undefined

/** The path of the program. */
export function etcdProgram(): Promise<string> {
  found ??= find()
  return found
}

async function find(): Promise<string> {
  const named = process.env.PAGELOG_ETCD
  if (named !== undefined) return named
  const [major = 0, minor = 0] = (await versionOf('etcd')) ?? []
  if (major > 3 || (major === 3 && minor >= 5)) return 'etcd'
  const directory = join(cacheDirectory(), `etcd-${VERSION}`)
  if (!existsSync(directory)) await build(directory)
  return join(directory, 'etcd')
}

/** Major and minor version; undefined when there is no such program. */
export async function versionOf(program: string): Promise<number[] | undefined> {
  const { stdout } = await promisify(execFile)(program, ['--version']).catch(() => ({ stdout: '' }))
  const match = /^etcd Version: (\d+)\.(\d+)\./.exec(stdout)
  return match === null ? undefined : match.slice(1).map(Number)
}

async function build(directory: string): Promise<void> {
  const fresh = `${directory}.${process.pid}`
  mkdirSync(fresh, { recursive: true })
  try {
    writeFileSync(join(fresh, 'go.mod'), MODULE)
    writeFileSync(join(fresh, 'main.go'), MAIN)
    const go = { command: 'go', cwd: fresh, env: { CGO_ENABLED: '0' } }
    await runToEnd('go (fetching etcd)', { ...go, args: ['mod', 'tidy'] })
    await runToEnd('go (building etcd)', { ...go, args: ['build', '-trimpath', '-o', 'etcd', '.'] })
    // Renamed when complete; another process may have been first.
    if (!existsSync(directory)) renameSync(fresh, directory)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}
