/** The moments between the end of a socket, when its descriptor's number is free, and the news of it. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Outbox } from '../../src/env/node/outbox.ts'
import { counted, MiB, Place } from './sockets.ts'

const gone = new Error('gone')
let place: Place
let server: Server
let socket: Socket
let outbox: Outbox
let closed: Promise<void>

beforeEach(async () => {
  place = new Place()
  server = createServer((peer) => peer.on('error', () => {}).resume())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  socket = connect({ port: typeof address === 'object' && address !== null ? address.port : 0, host: '127.0.0.1' })
  await new Promise((resolve) => socket.once('connect', resolve))
  outbox = new Outbox(socket, descriptor(), () => {})
  closed = new Promise((resolve) => socket.once('close', () => resolve(outbox.close(gone))))
})
afterEach(async () => {
  socket.destroy()
  await closed
  server.close()
  await place.remove()
})

function descriptor(): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

test('a socket whose number belongs to another file by now gets nothing sent', async () => {
  const file = await place.file(1, MiB)
  const { region, releases } = counted(file, 0, MiB)
  const number = descriptor()
  const sent = outbox.send([region])
  socket.destroy()
  const other = openSync(join(place.path, 'other'), constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK)
  try {
    expect(other).toBe(number)
    await expect(sent).rejects.toBe(gone)
    expect([fstatSync(other).size, releases()]).toEqual([0, 1])
  } finally {
    closeSync(other)
  }
})

test('nothing counts as sent that the socket no longer takes', async () => {
  const file = await place.file(1, MiB)
  socket.destroy()
  const small = counted(file, 0, 1000)
  const sends = [outbox.send([new Uint8Array(100)]), outbox.send([small.region]), outbox.send([])]
  const outcomes = await Promise.allSettled(sends)
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['rejected', 'rejected', 'rejected'])
  expect(small.releases()).toBe(1)
})
