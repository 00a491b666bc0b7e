/** What the tests of streams share: a listener that hands out streams, raw peers, and a file whose bytes tell where they are from. */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { File, FileRegion, Listener, Stream } from '../../src/env/index.ts'
import { nodeEnv } from '../../src/env/index.ts'
import { NodeNetwork } from '../../src/env/node/network.ts'

export const MiB = 1024 * 1024
export const KiB = 1024

/** Waits until `condition` holds, a turn of the event loop at a time. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** Open descriptors of this process; 0 where that cannot be told. */
export function descriptors(): number {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0
}

/** Byte at `position` of the file (or message) `seed`. */
export function fill(bytes: Uint8Array, seed: number, position = 0): Uint8Array {
  for (let i = 0; i < bytes.length; i++) {
    const at = position + i
    bytes[i] = (at ^ (at >>> 8) ^ (at >>> 17) ^ (seed * 101)) & 0xff
  }
  return bytes
}

export class Place {
  readonly path = mkdtempSync(join(tmpdir(), 'pagelog-'))
  readonly disk = nodeEnv().disk
  readonly #files: File[] = []

  async file(seed: number, byteLength: number): Promise<File> {
    const file = await this.disk.open(join(this.path, randomUUID()), 'create')
    this.#files.push(file)
    await file.write([fill(Buffer.alloc(byteLength), seed)], 0)
    return file
  }

  async remove(): Promise<void> {
    for (const file of this.#files) await file.close()
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A region that counts its releases; `region` is what is sent. */
export function counted(file: File, position: number, length: number): { region: FileRegion; releases: () => number } {
  const region = file.region(position, length)
  const release = region.release.bind(region)
  let releases = 0
  region.release = () => {
    releases++
    release()
  }
  return { region, releases: () => releases }
}

/** Both ends of connections: ours by `network`, theirs a plain socket. */
export class Meeting {
  readonly network: NodeNetwork
  readonly #streams: Stream[] = []
  readonly #sockets: Socket[] = []
  readonly #arrivals: ((stream: Stream) => void)[] = []
  #listener: Listener | undefined

  constructor(inPlace = true) {
    this.network = new NodeNetwork(inPlace)
  }

  async listen(): Promise<number> {
    this.#listener ??= await this.network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
      this.#streams.push(stream)
      this.#arrivals.shift()?.(stream)
    })
    return this.#listener.port
  }

  /** A connection, its peer paused. */
  async pair(): Promise<{ stream: Stream; peer: Socket }> {
    const port = await this.listen()
    const arrived = new Promise<Stream>((resolve) => this.#arrivals.push(resolve))
    const peer = connect({ port, host: '127.0.0.1' })
    peer.pause()
    peer.on('error', () => {})
    this.#sockets.push(peer)
    return { stream: await arrived, peer }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    for (const stream of this.#streams) await stream.close()
    await this.#listener?.close()
  }
}

/** The next `byteLength` bytes from the peer; fewer if it ends. */
export function readBytes(peer: Socket, byteLength: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let got = 0
    const done = (): void => {
      peer.off('data', take)
      peer.off('close', done)
      peer.off('end', done)
      peer.pause()
      const all = Buffer.concat(chunks)
      if (all.length > byteLength) peer.unshift(all.subarray(byteLength))
      resolve(all.subarray(0, byteLength))
    }
    const take = (chunk: Buffer): void => {
      chunks.push(chunk)
      got += chunk.length
      if (got >= byteLength) done()
    }
    peer.on('data', take)
    peer.on('close', done)
    peer.on('end', done)
    peer.resume()
  })
}
