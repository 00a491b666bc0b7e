/**
 * A connection through a proxy of ours that can be cut, each direction by itself: what is sent there is neither delivered
 * nor lost, the end and the reset of the connection included, until it is healed. As with TCP a connection begins only
 * while both directions are whole, and who sends into a cut has to wait once the buffers are full: of a direction that is
 * cut no more is read than a stream of Node keeps.
 */
import { connect, type Socket } from 'node:net'

export interface Ends {
  /** Whose connection was accepted, not read yet. */
  readonly client: Socket
  /** Where it wanted to go. */
  readonly server: { readonly host: string; readonly port: number }
}

/** What may pass now. */
export interface Passage {
  readonly there: boolean
  readonly back: boolean
}

/** Of a connection that cannot begin. As much again may come at once. */
const EARLY_BYTES_MAX = 64 * 1024

export class CuttableConnection {
  readonly #client: Socket
  readonly #server: Ends['server']
  readonly #passage: () => Passage
  readonly #sockets: Socket[] = []
  #ways: { readonly there: Way; readonly back: Way } | undefined
  /** What came before it could begin. */
  readonly #early: Buffer[] = []
  #earlyBytes = 0
  readonly #onEarly = (bytes: Buffer): void => {
    this.#early.push(bytes)
    this.#earlyBytes += bytes.length
    if (this.#earlyBytes > EARLY_BYTES_MAX) this.#client.pause()
  }
  /** Who gives up before it has begun was never heard of. */
  readonly #onGivenUp = (): void => this.close()

  constructor({ client, server }: Ends, passage: () => Passage, onClosed: () => void) {
    this.#client = client
    this.#server = server
    this.#passage = passage
    this.#own(client, onClosed)
    client.on('data', this.#onEarly)
    client.on('end', this.#onGivenUp)
    client.on('error', this.#onGivenUp)
    this.update()
    if (this.#ways === undefined) client.resume()
  }

  /** To be told whenever something was cut or healed. */
  update(): void {
    const { there, back } = this.#passage()
    if (this.#ways === undefined && there && back && !this.#client.destroyed) this.#begin()
    this.#ways?.there.pass(there)
    this.#ways?.back.pass(back)
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #begin(): void {
    const client = this.#client
    client.pause()
    client.off('data', this.#onEarly)
    client.off('end', this.#onGivenUp)
    client.off('error', this.#onGivenUp)
    const server = connect({ ...this.#server, allowHalfOpen: true, noDelay: true })
    server.pause()
    this.#own(server, () => {})
    this.#ways = { there: new Way(client, server), back: new Way(server, client) }
    for (const bytes of this.#early.splice(0)) server.write(bytes)
  }

  #own(socket: Socket, onClosed: () => void): void {
    this.#sockets.push(socket)
    socket.once('close', () => {
      if (this.#sockets.every(({ closed }) => closed)) onClosed()
    })
  }
}

/** One direction: what is read from the source goes to the target. */
class Way {
  readonly #source: Socket
  readonly #target: Socket
  #passes = false
  /** The target takes no more for now, or nothing ever again. */
  #isFull = false
  /** How the source's end of the connection is over, as far as the target is not told yet. */
  #over: 'ended' | 'reset' | undefined

  /** Both paused. */
  constructor(source: Socket, target: Socket) {
    this.#source = source
    this.#target = target
    source.on('data', (bytes) => {
      if (!target.write(bytes)) this.#fill(true)
    })
    target.on('drain', () => this.#fill(false))
    target.on('close', () => this.#fill(true))
    // A stream that is paused, and has nothing left, ends all the same.
    source.on('end', () => this.#finish('ended'))
    source.on('error', () => this.#finish('reset'))
  }

  pass(passes: boolean): void {
    this.#passes = passes
    this.#flow()
  }

  #fill(isFull: boolean): void {
    this.#isFull = isFull
    this.#flow()
  }

  #finish(how: 'ended' | 'reset'): void {
    this.#over = how
    this.#flow()
  }

  #flow(): void {
    if (!this.#passes || this.#isFull) this.#source.pause()
    else this.#source.resume()
    if (!this.#passes || this.#over === undefined) return
    if (this.#over === 'reset') this.#target.resetAndDestroy()
    else this.#target.end()
    this.#over = undefined
  }
}
