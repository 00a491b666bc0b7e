/** The addon's life: several environments, exits with calls in flight, descriptors, garbage collection. Each in a process of its own. */
import { describe, expect, test } from 'vitest'
import { runScript } from './run-script.ts'

const cleanly = { code: 0, signal: null, errors: '' }

/** Source of a file with `size` bytes, opened, as `fd`. */
const temporaryFile = (size: number) => `
  const fs = require('node:fs'), os = require('node:os'), path = require('node:path')
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pagelog-native-'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
  const file = path.join(directory, 'file')
  fs.writeFileSync(file, Buffer.alloc(${size}, 1))
  const fd = fs.openSync(file, 'r+')
`

describe('in worker threads', () => {
  test('the addon works in many at once, and in the main thread beside them', async () => {
    const result = await runScript(`
      const { Worker } = require('node:worker_threads')
      const code = \`
        const { workerData, parentPort } = require('node:worker_threads')
        const addon = require(workerData)
        let sum = 0
        for (let i = 0; i < 2000; i++) sum ^= addon.crc32c(Buffer.alloc(5000, i))
        addon.fileCalls.allocate(0, 0, 0).catch((error) => parentPort.postMessage([sum, error.code]))
      \`
      const main = () => { let sum = 0; for (let i = 0; i < 2000; i++) sum ^= addon.crc32c(Buffer.alloc(5000, i)); return sum }
      const run = () => new Promise((resolve) => new Worker(code, { eval: true, workerData: addonPath }).on('message', resolve))
      Promise.all([1, 2, 3, 4].map(run)).then((answers) => {
        const sum = main()
        console.log(answers.every(([one, code]) => one === sum && typeof code === 'string'))
      })
    `)
    expect(result).toEqual({ ...cleanly, output: 'true\n' })
  })

  test('descriptors that a worker left open are closed when it ends, however it ends', async () => {
    const result = await runScript(`
      ${temporaryFile(10)}
      const { Worker } = require('node:worker_threads')
      const open = () => fs.readdirSync('/proc/self/fd').filter((name) => {
        try { return fs.readlinkSync('/proc/self/fd/' + name) === file } catch { return false }
      }).length
      const code = (ending) => \`
        const { workerData, parentPort } = require('node:worker_threads')
        const { fileCalls } = require(workerData.addonPath)
        for (let i = 0; i < 50; i++) fileCalls.duplicate(workerData.fd)
        parentPort.postMessage('made')
        \${ending}
      \`
      const run = (ending, then) => new Promise((resolve) => {
        const worker = new Worker(code(ending), { eval: true, workerData: { addonPath, fd } })
        let during
        worker.on('message', () => { during = open(); then(worker) }).on('error', () => {}).on('exit', () => resolve(during))
      })
      ;(async () => {
        await run('', () => {})
        const during = await run('setInterval(() => {}, 1000)', (worker) => worker.terminate())
        await run('throw new Error("ends")', () => {})
        console.log(during, open())
      })()
    `)
    expect(result).toEqual({ ...cleanly, output: '51 1\n' })
  })
})

describe('an exit with calls in flight', () => {
  const calls = `
    for (let i = 0; i < 500; i++) {
      fileCalls.dropCache(fd, 0, 1 << 20)
      fileCalls.allocate(fd, 0, 1 << 20)
      fileCalls.write(fd, [Buffer.alloc(5000)], i * 5000, i % 250 === 0, () => {})
    }
  `
  // One pool thread: the most calls stay queued.
  const env = { UV_THREADPOOL_SIZE: '1' }

  test.each(['process.exit(0)', '', 'setImmediate(() => process.exit(0))'])(
    'of the process is clean: %s',
    async (ending) => {
      const result = await runScript(`${temporaryFile(1 << 20)}; const { fileCalls } = addon; ${calls}; ${ending}`, {
        env,
      })
      expect(result).toEqual({ ...cleanly, output: '' })
    },
  )

  test.each([
    ['terminated', 'setInterval(() => {}, 1000)'],
    ['that exits', 'process.exit(0)'],
    ['that throws', 'throw new Error("ends")'],
  ])('of a worker %s is clean, again and again', async (_, ending) => {
    const result = await runScript(
      `
      ${temporaryFile(1 << 20)}
      const { Worker } = require('node:worker_threads')
      const code = \`
        const { workerData, parentPort } = require('node:worker_threads')
        const { fileCalls } = require(workerData.addonPath)
        const fd = workerData.fd
        ${calls}
        parentPort.postMessage('queued')
        ${ending}
      \`
      const run = () => new Promise((resolve) => {
        const worker = new Worker(code, { eval: true, workerData: { addonPath, fd } })
        worker.on('message', () => worker.terminate()).on('error', () => {}).on('exit', resolve)
      })
      ;(async () => {
        for (let i = 0; i < 8; i++) await run()
        console.log('done')
      })()
    `,
      { env },
    )
    expect(result).toEqual({ ...cleanly, output: 'done\n' })
  })

  test('of a worker in the middle of a transfer leaves the socket of others alone', async () => {
    const result = await runScript(
      `
      ${temporaryFile(8 << 20)}
      const net = require('node:net')
      const { Worker } = require('node:worker_threads')
      const code = \`
        const { workerData, parentPort } = require('node:worker_threads')
        const { fileCalls } = require(workerData.addonPath)
        const copy = fileCalls.duplicate(workerData.socket)
        fileCalls.sendRun(copy, new Uint8Array(4), Float64Array.of(-1, 0, 4, workerData.fd, 0, 8 << 20), 2)
        fileCalls.sendRun(copy, new Uint8Array(4), Float64Array.of(-1, 0, 4, workerData.fd, 0, 8 << 20), 2)
        parentPort.postMessage('queued')
        setInterval(() => {}, 1000)
      \`
      const server = net.createServer((socket) => socket.pause()).listen(0, '127.0.0.1', async () => {
        const socket = net.connect(server.address().port, '127.0.0.1', async () => {
          for (let i = 0; i < 5; i++) {
            const worker = new Worker(code, { eval: true, workerData: { addonPath, fd, socket: socket._handle.fd } })
            await new Promise((resolve) => worker.on('exit', resolve).on('message', () => worker.terminate()))
          }
          console.log('open', fs.fstatSync(socket._handle.fd).isSocket())
          process.exit(0)
        })
      })
    `,
      { env },
    )
    expect(result).toEqual({ ...cleanly, output: 'open true\n' })
  })
})

describe('garbage collection', () => {
  test('does not disturb calls whose promise nobody holds, and calls leave nothing behind', async () => {
    const result = await runScript(
      `
      ${temporaryFile(1 << 16)}
      const { fileCalls } = addon
      let settled = 0
      const round = async (count) => {
        const before = settled
        for (let i = 0; i < count; i++) {
          fileCalls.dropCache(fd, 0, 4096).then(() => settled++)
          fileCalls.allocate(1 << 30, 0, 4096).catch(() => settled++)
          fileCalls.write(fd, [Buffer.alloc(100)], 0, false, () => settled++)
          fileCalls.write(1 << 30, [Buffer.alloc(100)], 0, true, () => settled++)
        }
        global.gc()
        while (settled < before + 4 * count) await new Promise(setImmediate)
        global.gc()
      }
      ;(async () => {
        await round(5000)
        const before = process.memoryUsage()
        for (let i = 0; i < 6; i++) await round(5000)
        const after = process.memoryUsage()
        console.log(settled, after.heapUsed - before.heapUsed < 4e6, after.rss - before.rss < 24e6)
      })()
    `,
      { nodeOptions: ['--expose-gc'] },
    )
    expect(result).toEqual({ ...cleanly, output: '140000 true true\n' })
  })
})
