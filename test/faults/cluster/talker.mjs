/**
 * A process on a host of hosts-contract.ts: it listens, connects, sends and closes as it is told by messages of its
 * parent, and tells what it gets. A connection has the name that its client gave it, which is the first line of it.
 */
import { connect, createServer } from 'node:net'

const sockets = new Map()
const CHUNK = Buffer.alloc(256 * 1024, 'x')

const commands = {
  listen({ host, port }) {
    createServer({ allowHalfOpen: true }, (socket) => accept(socket)).listen(port, host, () =>
      tell({ event: 'listening' }),
    )
  },
  connect({ name, host, port }) {
    const socket = connect({ host, port, allowHalfOpen: true })
    take(name, socket)
    socket.write(`${name}\n`)
  },
  send: ({ name, text }) => void sockets.get(name).write(text),
  end: ({ name }) => void sockets.get(name).end(),
  /** Waits for the buffers to have room again after each chunk. */
  async pour({ name, bytes }) {
    for (let sent = 0; sent < bytes; sent += CHUNK.length) {
      await new Promise((resolve) => sockets.get(name).write(CHUNK, resolve))
      tell({ event: 'poured', name, bytes: sent + CHUNK.length })
    }
  },
}

function accept(socket) {
  let line = ''
  socket.on('error', () => {})
  socket.on('data', function first(bytes) {
    line += bytes.toString('latin1')
    const end = line.indexOf('\n')
    if (end < 0) return
    socket.off('data', first)
    const name = line.slice(0, end)
    tell({ event: 'accepted', name })
    take(name, socket)
    if (line.length > end + 1) got(name, line.slice(end + 1))
  })
}

function take(name, socket) {
  sockets.set(name, socket)
  socket.on('data', (bytes) => got(name, bytes.toString('latin1')))
  socket.on('end', () => tell({ event: 'ended', name }))
  socket.on('error', () => tell({ event: 'reset', name }))
}

/** What was poured is only counted. */
function got(name, text) {
  const letters = text.replaceAll('x', '')
  tell({ event: 'got', name, text: letters, poured: text.length - letters.length })
}

function tell(message) {
  if (process.connected) process.send(message)
}

process.on('message', (message) => commands[message.do](message))
process.on('disconnect', () => process.exit())
