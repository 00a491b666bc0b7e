import { afterEach, describe, expect, test } from 'vitest'
import type { PagelogError } from '../../src/base/index.ts'
import { type Env, nodeEnv } from '../../src/env/index.ts'
import {
  AnsweringConnection,
  AskingConnection,
  type AskingOptions,
  type RequestAnswer,
  SlabPool,
} from '../../src/net/index.ts'
import {
  ApiVersions,
  CreateTopics,
  decodeRequestHeader,
  encodeResponse,
  Fetch,
  Metadata,
  type RequestHeader,
} from '../../src/protocol/index.ts'

type Respond = (header: RequestHeader, bytes: Uint8Array) => RequestAnswer | Promise<RequestAnswer>

const env: Env = nodeEnv()
const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const apiKeys = [
  { apiKey: Metadata.key, minVersion: 0, maxVersion: 12 },
  { apiKey: Fetch.key, minVersion: 4, maxVersion: 13 },
  { apiKey: 18, minVersion: 0, maxVersion: 4 },
]

function versions({ apiVersion, correlationId }: RequestHeader): RequestAnswer {
  return encodeResponse(ApiVersions, apiVersion, correlationId, { apiKeys }) as RequestAnswer
}

function metadata({ apiVersion, correlationId }: RequestHeader, clusterId: string): RequestAnswer {
  return encodeResponse(Metadata, apiVersion, correlationId, { clusterId }) as RequestAnswer
}

/** A peer that answers ApiVersions and leaves the rest to `respond`. */
async function connect(respond: Respond, options: Partial<AskingOptions> = {}): Promise<AskingConnection> {
  const pool = new SlabPool()
  const listener = await env.network.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    const server = new AnsweringConnection(stream, {
      maxFrameBytes: 1024 * 1024,
      pool,
      onRequest: (frame) => {
        const header = decodeRequestHeader(frame.bytes)
        const bytes = new Uint8Array(frame.bytes)
        frame.release()
        const isFirst = header.apiKey === ApiVersions.key && options.softwareName === undefined
        return isFirst ? versions(header) : respond(header, bytes)
      },
    })
    closers.push(() => server.close())
  })
  closers.push(() => listener.close())
  const connection = await AskingConnection.connect(env, {
    host: '127.0.0.1',
    port: listener.port,
    clientId: 'test',
    requestTimeoutMs: 10_000,
    pool: new SlabPool({ countsDelivered: false }),
    ...options,
  })
  closers.push(() => connection.close())
  return connection
}

function codeOf(error: unknown): string | undefined {
  return (error as PagelogError | undefined)?.code
}

describe('asking', () => {
  test('every answer comes to who asked, many in flight', async () => {
    const connection = await connect((header) => metadata(header, `c${header.correlationId}`), { maxInFlight: 7 })
    const answers = await Promise.all(Array.from({ length: 100 }, () => connection.ask(Metadata, { topics: [] })))
    expect(answers.map(({ body }) => body.clusterId)).toEqual(Array.from({ length: 100 }, (_, i) => `c${i + 1}`))
    expect(connection.inFlight).toBe(0)
  })

  test('no more are in flight than allowed', async () => {
    let most = 0
    let now = 0
    const connection = await connect(
      async (header) => {
        most = Math.max(most, ++now)
        await new Promise((resolve) => setImmediate(resolve))
        now--
        return metadata(header, '')
      },
      { maxInFlight: 3 },
    )
    await Promise.all(Array.from({ length: 20 }, () => connection.ask(Metadata, {})))
    expect(most).toBeLessThanOrEqual(3)
  })

  test('a large answer is in one piece and keeps its bytes', async () => {
    const records = Buffer.alloc(5 * 1024 * 1024, 'records of a fetch')
    const connection = await connect(({ apiVersion, correlationId }) => {
      const responses = [{ partitions: [{ partitionIndex: 0, records }] }]
      return encodeResponse(Fetch, apiVersion, correlationId, { responses }) as RequestAnswer
    })
    const answers = await Promise.all(Array.from({ length: 4 }, () => connection.ask(Fetch, {})))
    for (const { body } of answers) {
      expect(Buffer.compare(body.responses[0]!.partitions[0]!.records!, records)).toBe(0)
    }
    for (const { release } of answers) release()
  })

  test('without an answer, it is settled when sent', async () => {
    const seen: number[] = []
    const connection = await connect((header) => {
      seen.push(header.correlationId)
      return seen.length === 1 ? null : metadata(header, '')
    })
    const { body } = await connection.ask(Metadata, {}, { noAnswer: true })
    expect(body).toBeUndefined()
    await connection.ask(Metadata, {})
    expect(seen).toEqual([1, 2])
  })
})

describe('versions', () => {
  test('the highest common one, within what is allowed', async () => {
    const connection = await connect((header) => metadata(header, ''))
    expect(connection.versionOf(Metadata)).toBe(Math.min(12, Metadata.maxVersion))
    expect(connection.versionOf(Metadata, 5)).toBe(5)
    expect(codeOf(catching(() => connection.versionOf(CreateTopics)))).toBe('PAGELOG_UNSUPPORTED')
    expect(codeOf(catching(() => connection.versionOf(Fetch, 3)))).toBe('PAGELOG_UNSUPPORTED')
  })

  test('a broker that knows ApiVersions 0 only is asked again', async () => {
    const asked: number[] = []
    const connection = await connect(
      ({ apiVersion, correlationId }) => {
        asked.push(apiVersion)
        const errorCode = apiVersion === 0 ? 0 : 35
        return encodeResponse(ApiVersions, 0, correlationId, { errorCode, apiKeys }) as RequestAnswer
      },
      { softwareName: 'other' },
    )
    expect(asked).toEqual([3, 0])
    expect(connection.versionOf(Metadata, 4)).toBe(4)
  })
})

describe('what ends it', () => {
  test('the broker closes: all that wait are rejected', async () => {
    const connection = await connect(() => Promise.reject(new Error('no')), { maxInFlight: 2 })
    const closes: Error[] = []
    connection.onClose((error) => closes.push(error))
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => connection.ask(Metadata, {})))
    expect(results.map((result) => codeOf((result as PromiseRejectedResult).reason))).toEqual(
      Array(5).fill('PAGELOG_DISCONNECTED'),
    )
    expect(connection.closed).toBe(true)
    expect(closes.length).toBe(1)
    await expect(connection.ask(Metadata, {})).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
  })

  test('a request without an answer in its time', async () => {
    const connection = await connect(() => new Promise(() => {}))
    const other = connection.ask(Metadata, {})
    const results = await Promise.allSettled([connection.ask(Metadata, {}, { timeoutMs: 20 }), other])
    expect(results.map((result) => codeOf((result as PromiseRejectedResult).reason))).toEqual([
      'PAGELOG_TIMED_OUT',
      'PAGELOG_DISCONNECTED',
    ])
    expect(connection.closed).toBe(true)
  })

  test('an answer that nobody asked for', async () => {
    const connection = await connect((header) => metadata({ ...header, correlationId: 999 }, ''))
    await expect(connection.ask(Metadata, {})).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
  })

  test('an answer that makes no sense', async () => {
    const connection = await connect(({ correlationId }) => {
      const bytes = Buffer.alloc(12, 0xff)
      bytes.writeInt32BE(8, 0)
      bytes.writeInt32BE(correlationId, 4)
      return [bytes]
    })
    await expect(connection.ask(Metadata, {})).rejects.toMatchObject({ code: 'PAGELOG_PROTOCOL' })
    expect(connection.closed).toBe(true)
  })

  test('a request that cannot be encoded harms no other', async () => {
    const connection = await connect((header) => metadata(header, 'fine'))
    await expect(connection.ask(Metadata, { topics: [{ name: 'x'.repeat(40_000) }] })).rejects.toMatchObject({
      code: 'PAGELOG_INVALID_ARGUMENT',
    })
    expect((await connection.ask(Metadata, {})).body.clusterId).toBe('fine')
  })

  test('nobody listens', async () => {
    const listener = await env.network.listen({ host: '127.0.0.1', port: 0 }, () => {})
    const { port } = listener
    await listener.close()
    const options = { host: '127.0.0.1', port, clientId: null, requestTimeoutMs: 1000, pool: new SlabPool() }
    await expect(AskingConnection.connect(env, options)).rejects.toMatchObject({ code: 'PAGELOG_DISCONNECTED' })
  })
})

function catching(call: () => unknown): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error
  }
}
