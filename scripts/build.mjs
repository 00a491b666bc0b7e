/**
 * Builds the package: the addon (`build/Release/pagelog.node`, and the limit probes beside it), then TypeScript into
 * `dist/`. Runs from `npm ci` by way of `prepare`, needs no network and no home directory.
 *
 *   node scripts/build.mjs            both
 *   node scripts/build.mjs --native   the addon only
 *
 * The addon is skipped while nothing it is made of has changed, and with PAGELOG_NATIVE=0. Without a compiler the build
 * goes on the plain-JS way, with a warning; with CI=true that is a failure.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const addonPath = join(root, 'build', 'Release', 'pagelog.node')
const probesPath = join(root, 'build', 'Release', 'limit_probes')
const stampPath = join(root, 'build', 'pagelog-stamp.txt')
const insideCi = process.env.CI === 'true' || process.env.CI === '1'

if (process.env.PAGELOG_NATIVE === '0') console.log('build: addon left out (PAGELOG_NATIVE=0)')
else if (process.platform === 'win32') console.log('build: no addon on this platform, going on the plain-JS way')
else buildAddon()
if (!process.argv.includes('--native')) buildTypeScript()

function buildAddon() {
  const stamp = sourceStamp()
  if (existsSync(addonPath) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return
  const compiler = process.env.CXX ?? 'c++'
  if (!runs(compiler.split(' ')[0], ['--version'])) {
    return withoutAddon(`no C++ compiler (${compiler}): install one, on Debian \`apt-get install g++ make python3\``)
  }
  const headers = headersDirectory()
  const built =
    runs('make', ['--version']) && pythonRuns() ? buildWithGyp(headers) : buildWithCompiler(compiler, headers)
  if (!built) return
  if (!loads()) return withoutAddon('the addon was built but does not load, see above')
  writeFileSync(stampPath, stamp)
  console.log('build: addon ready')
}

/** A directory with include/node/node_api.h, or undefined: node-gyp then has to download the headers. */
function headersDirectory() {
  const beside = join(dirname(process.execPath), '..')
  const places = [process.env.npm_config_nodedir, npmNodedir(), beside, '/usr', '/usr/local']
  return places.find((place) => place && existsSync(join(place, 'include', 'node', 'node_api.h')))
}

/** npm's own setting, for a build that npm did not start. */
function npmNodedir() {
  if (process.env.npm_config_user_agent) return undefined
  const result = spawnSync('npm', ['config', 'get', 'nodedir'], { cwd: root, encoding: 'utf8' })
  const value = result.status === 0 ? result.stdout.trim() : ''
  return value === '' || value === 'undefined' || value === 'null' ? undefined : value
}

function buildWithGyp(headers) {
  const gyp = join(dirname(require.resolve('node-gyp/package.json')), 'bin', 'node-gyp.js')
  const options = headers ? [`--nodedir=${headers}`] : []
  console.log(`build: addon with node-gyp, headers ${headers ? `of ${headers}` : 'to be downloaded'}`)
  const args = [gyp, 'configure', 'build', '--loglevel=error', ...options]
  const result = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (result.status === 0) return true
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}\n`)
  withoutAddon(
    headers
      ? 'the addon does not compile, see above'
      : `Node's headers are neither beside ${process.execPath} nor could they be downloaded: install them ` +
          '(on Debian `apt-get install libnode-dev`, or use the Node archive from nodejs.org, which has them), or name ' +
          'a directory that has include/node by `npm_config_nodedir`',
  )
  return false
}

/** The same few files without make and python, which a bare compiler package does not bring. */
function buildWithCompiler(compiler, headers) {
  if (!headers) {
    withoutAddon('node-gyp needs make and python3 to download headers: on Debian `apt-get install make python3`')
    return false
  }
  console.log(`build: addon with ${compiler} alone (make or python3 is missing), headers of ${headers}`)
  const target = gypTarget()
  mkdirSync(dirname(addonPath), { recursive: true })
  const include = [join(headers, 'include', 'node'), dirname(require.resolve('node-addon-api/package.json'))]
  const shared = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared']
  const flags = [...shared, '-fPIC', '-fno-rtti', '-pthread', ...target.flags, ...include.map((path) => `-I${path}`)]
  if (!runLoud(compiler, [...flags, ...target.sources, '-o', addonPath])) {
    withoutAddon('the addon does not compile, see above')
    return false
  }
  const probes = join('bench', 'limits', 'limit-probes.c')
  if (existsSync(join(root, probes))) {
    const args = ['-x', 'c', '-std=gnu11', '-O3', probes, '-o', probesPath, '-lpthread']
    if (!runLoud(compiler, args)) console.warn('build: the limit probes do not compile, see above')
  }
  return true
}

/** Sources and flags of the addon, read from binding.gyp so that they are named once. */
function gypTarget() {
  const text = readFileSync(join(root, 'binding.gyp'), 'utf8')
  const list = (name) => {
    const found = new RegExp(`'${name}': \\[([^\\]]*)\\]`).exec(text)
    return found ? [...found[1].matchAll(/'([^']+)'/g)].map((match) => match[1]) : []
  }
  const defines = list('defines').map((define) => `-D${define}`)
  return { sources: list('sources'), flags: [...list('cflags'), ...list('cflags_cc'), ...defines] }
}

function buildTypeScript() {
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
  if (!runLoud(process.execPath, [compiler, '-p', 'tsconfig.build.json'])) {
    console.error('build: TypeScript does not compile, see above')
    process.exit(1)
  }
}

/** The addon must load in this Node before anything relies on it. */
function loads() {
  return runLoud(process.execPath, ['-e', `require(${JSON.stringify(addonPath)})`])
}

/** Hash of all that the addon is made of. Node-API keeps it the same for every Node, so the Node's version is not in it. */
function sourceStamp() {
  const hash = createHash('sha256')
  const files = ['binding.gyp', ...filesIn('native'), ...filesIn(join('bench', 'limits'))]
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0')
  const api = require('node-addon-api/package.json').version
  return `${hash.digest('hex')} ${process.platform}-${process.arch} node-addon-api-${api} ${process.env.CXX ?? ''}\n`
}

function filesIn(directory) {
  if (!existsSync(join(root, directory))) return []
  const names = readdirSync(join(root, directory)).filter((name) => /\.(cc|c|h)$/.test(name))
  return names.sort().map((name) => join(directory, name))
}

function pythonRuns() {
  const named = process.env.npm_config_python ?? process.env.PYTHON
  return [named, 'python3', 'python'].some(
    (name) => name && runs(name, ['-c', 'import sys; sys.exit(sys.version_info < (3, 8))']),
  )
}

function runs(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

function runLoud(command, args) {
  const path = `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: path } }).status === 0
}

function withoutAddon(why) {
  // One of other sources must not be taken for this one.
  rmSync(addonPath, { force: true })
  if (insideCi) {
    console.error(`build: ${why}\nbuild: with CI=true this is a failure`)
    process.exit(1)
  }
  console.warn(`build: ${why}\nbuild: WARNING: going on without the addon, the plain-JS way (much slower)`)
}
