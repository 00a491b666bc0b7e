/**
 * net: framing, and both ends of a connection.
 *
 *   const pool = new SlabPool({ maxBytes, clock })
 *   network.listen(address, (stream) => new AnsweringConnection(stream, { pool, maxFrameBytes, onRequest }))
 *   const connection = await AskingConnection.connect(env, { host, port, clientId, requestTimeoutMs, pool })
 *   const { body, release } = await connection.ask(Metadata, {})
 *
 * One pool serves all connections of a broker, or of a client (`countsDelivered: false` there).
 */
export { AnsweringConnection, type AnsweringOptions, type RequestAnswer } from './answering-connection.ts'
export { type Answer, AskingConnection, type AskingOptions, type AskOptions } from './asking-connection.ts'
export { type Frame, FrameReceiver, type FrameReceiverOptions } from './frame-receiver.ts'
export { SLAB_BYTES, SlabPool, type SlabPoolOptions } from './slab-pool.ts'
