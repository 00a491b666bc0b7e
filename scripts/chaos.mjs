/**
 * `npm run chaos -- --minutes 5`: random faults against a cluster of real processes (test/faults/cluster/chaos.ts, whose
 * --help says more). The tests are no part of the package, so what they need is compiled aside first.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = join(root, 'build', 'chaos')
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')

function compile(args) {
  const { status } = spawnSync(process.execPath, [tsc, ...args], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(2)
}

// Brokers run from dist/, the load and the faults from build/chaos/.
const build = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { cwd: root, stdio: 'inherit' })
if (build.status !== 0) process.exit(2)
compile(['-p', join(root, 'test', 'faults', 'cluster', 'tsconfig.chaos.json'), '--outDir', out])

const main = join(out, 'test', 'faults', 'cluster', 'chaos.js')
const child = spawn(process.execPath, [main, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
// Ctrl-C on a terminal reaches the child too; it decides when to end.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.on('exit', (code) => process.exit(code ?? 2))
