/**
 * A produce request by hand: our producer does not send what it has not made itself. Version 7 of Produce, acks=1; one
 * connection a batch, so that a broker may also answer by closing it.
 */
import { once } from 'node:events'
import { connect } from 'node:net'

const PRODUCE = 0
const VERSION = 7
const TIMEOUT_MS = 30_000

/** The error code of the partition's answer. */
export async function produceRaw(bootstrap: string, topic: string, batch: Uint8Array): Promise<number> {
  const [host, port] = bootstrap.split(':') as [string, string]
  const socket = connect({ host, port: Number(port) })
  const timer = setTimeout(() => socket.destroy(new Error('no answer to the batch')), TIMEOUT_MS * 2)
  try {
    await once(socket, 'connect')
    const name = text(topic)
    const head = Buffer.concat([
      int16(PRODUCE, VERSION),
      int32(1),
      text('bench'),
      int16(-1, 1), // no transaction, acks
      int32(TIMEOUT_MS, 1),
      name,
      int32(1, 0, batch.length),
    ])
    socket.write(Buffer.concat([int32(head.length + batch.length), head, batch]))
    let answer = Buffer.alloc(0)
    for await (const chunk of socket) {
      answer = Buffer.concat([answer, chunk as Buffer])
      if (answer.length >= 4 && answer.length >= 4 + answer.readInt32BE(0)) break
    }
    // length, correlation, topics, name, partitions, index, error
    const errorAt = 4 + 4 + 4 + name.length + 4 + 4
    if (answer.length < errorAt + 2) throw new Error('the broker closed the connection')
    return answer.readInt16BE(errorAt)
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

function int16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  values.forEach((value, index) => {
    bytes.writeInt16BE(value, index * 2)
  })
  return bytes
}

function int32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => {
    bytes.writeInt32BE(value, index * 4)
  })
  return bytes
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)])
}
