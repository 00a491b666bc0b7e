/**
 * `npm run test:all`: every tier, one after the other: the fast tests with the addon, the same without it, faults (real
 * processes killed, real file systems full or without power: needs root and strace), the peers (Apache Kafka's jars and
 * tools, kcat, etcd). What they need is set up here; what cannot be had is a failure, and so is a skip.
 * Usage: node scripts/test-all.mjs [fast|plain|faults|peers ...]; all tiers when none is named.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'pagelog-test-all-'))

const tiers = {
  fast: { title: 'fast tests', args: [], env: {} },
  plain: { title: 'fast tests without the addon', args: [], env: { PAGELOG_NATIVE: '0' } },
  faults: { title: 'faults', args: ['--config', 'vitest.faults.config.ts'], env: {}, prepare: prepareFaults },
  peers: { title: 'peers', args: ['--config', 'vitest.peers.config.ts'], env: {}, prepare: preparePeers },
}

function run(command, args, env = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  return status === 0
}

function has(command) {
  return spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
}

/** strace, and root: file systems are made, filled, and lose their power, networks are cut. etcd is built with Go. */
function prepareFaults() {
  if (process.getuid?.() !== 0) {
    console.error('the faults tier mounts file systems of its own: run it as root')
    return false
  }
  return install([
    ['strace', 'strace'],
    ['perl', 'perl-base'],
    ['mkfs.ext4', 'e2fsprogs'],
    ['mount', 'mount'],
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
    ['go', 'golang-go'],
  ])
}

/** kcat, a JDK with Maven, Go (etcd is built with it), Python with pip, openssl for certificates, Chromium for the reports; npm brings the other Nodes. */
function preparePeers() {
  return install([
    ['kcat', 'kcat'],
    ['mvn', 'maven'],
    ['javac', 'default-jdk-headless'],
    ['go', 'golang-go'],
    ['pip3', 'python3-pip'],
    ['openssl', 'openssl'],
    ['chromium', 'chromium'],
  ])
}

/** Commands that are missing, with the packages that bring them: from Debian's when we are root, else asked for. */
function install(wanted) {
  const packages = wanted.filter(([command]) => !has(command)).map(([, name]) => name)
  if (packages.length === 0) return true
  if (process.getuid?.() !== 0) {
    console.error(`missing: ${packages.join(', ')}; install them (apt-get install ${packages.join(' ')}) and run again`)
    return false
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  return (
    run('apt-get', ['update', '-qq'], env) &&
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], env)
  )
}

function runTier(name) {
  const tier = tiers[name]
  console.log(`\n== ${tier.title}`)
  if (tier.prepare && !tier.prepare()) return { passed: 0, failed: 1, skipped: 0 }
  const report = join(scratch, `${name}.json`)
  const args = ['vitest', 'run', ...tier.args, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const ok = run('npx', args, tier.env)
  return countOf(report, ok)
}

function countOf(report, ok) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, 'utf8'))
    const failed = numFailedTests === 0 && !ok ? 1 : numFailedTests
    return { passed: numPassedTests, failed, skipped: numPendingTests + numTodoTests }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(tiers)
const unknown = names.filter((name) => !(name in tiers))
if (unknown.length > 0) {
  console.error(`no such tier: ${unknown.join(', ')}; there are ${Object.keys(tiers).join(', ')}`)
  process.exit(2)
}

const total = { passed: 0, failed: 0, skipped: 0 }
if (!run('node', ['scripts/build.mjs'])) total.failed++
else {
  for (const name of names) {
    const count = runTier(name)
    console.log(`${tiers[name].title}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
    for (const key of Object.keys(total)) total[key] += count[key]
  }
}
rmSync(scratch, { recursive: true, force: true })
if (total.skipped > 0) console.log(`${total.skipped} skipped: a skip counts as a failure here`)
console.log(`\n${total.passed} passed, ${total.failed + total.skipped} failed`)
process.exit(total.failed + total.skipped === 0 && total.passed > 0 ? 0 : 1)
