/**
 * `npm run test:all`: every tier, one after the other: the fast tests with the addon, the same without it, faults (real
 * processes killed, real file systems full or without power: needs root and strace), the peers (Apache Kafka's jars and
 * tools, kcat, etcd). What they need is set up here; what cannot be had is a failure, and so is a skip.
 * Usage: node scripts/test-all.mjs [fast|plain|faults|peers ...]; all tiers when none is named.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'pagelog-test-all-'))

const nothingRun = { passed: 0, failed: 1, skipped: 0 }

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
  if (tier.prepare && !tier.prepare()) return { ...nothingRun, failures: [`${tier.title}: what they need is missing`] }
  const report = join(scratch, `${name}.json`)
  const args = ['vitest', 'run', ...tier.args, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const ok = run('npx', args, tier.env)
  return countOf(report, ok)
}

function countOf(report, ok) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
      readFileSync(report, 'utf8'),
    )
    const failures = testResults.flatMap(failuresOf)
    if (failures.length === 0 && !ok) failures.push('the tier ended badly: see its output')
    return {
      passed: numPassedTests,
      failed: Math.max(numFailedTests, failures.length),
      skipped: numPendingTests + numTodoTests,
      failures,
    }
  } catch {
    return { ...nothingRun, failures: ['the tier left no report: see its output'] }
  }
}

/** What failed in one file, each with what it said: for the end of the output, as CI keeps little more than that. */
function failuresOf({ name, status, message, assertionResults }) {
  const failed = assertionResults.filter((result) => result.status === 'failed')
  const file = relative(root, name)
  if (failed.length === 0) return status === 'failed' ? [`${file}\n${firstLines(message)}`] : []
  return failed.map(
    ({ fullName, failureMessages }) => `${file}: ${fullName}\n${failureMessages.map(firstLines).join('\n')}`,
  )
}

function firstLines(text) {
  const lines = text.split('\n').filter((line) => !line.includes('/node_modules/'))
  return lines
    .slice(0, 12)
    .map((line) => `    ${line}`)
    .join('\n')
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(tiers)
const unknown = names.filter((name) => !(name in tiers))
if (unknown.length > 0) {
  console.error(`no such tier: ${unknown.join(', ')}; there are ${Object.keys(tiers).join(', ')}`)
  process.exit(2)
}

const total = { passed: 0, failed: 0, skipped: 0, failures: [] }
if (!run('node', ['scripts/build.mjs'])) total.failed++
else {
  for (const name of names) {
    const count = runTier(name)
    console.log(`${tiers[name].title}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
    for (const key of ['passed', 'failed', 'skipped']) total[key] += count[key]
    total.failures.push(...count.failures)
  }
}
rmSync(scratch, { recursive: true, force: true })
for (const failure of total.failures) console.log(`\nfailed: ${failure}`)
if (total.skipped > 0) console.log(`${total.skipped} skipped: a skip counts as a failure here`)
console.log(`\n${total.passed} passed, ${total.failed + total.skipped} failed`)
process.exit(total.failed + total.skipped === 0 && total.passed > 0 ? 0 : 1)
