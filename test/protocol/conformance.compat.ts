/**
 * Every version of every message against Kafka's own classes, both ways: Kafka reads what we write as the same values and
 * writes the same bytes, and we read what Kafka writes. Bodies are random, from the seed in the test's name.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafkaErrors } from '../../src/base/index.ts'
import {
  type Api,
  allApis,
  decodeRequest,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from '../../src/protocol/index.ts'
import { type Answer, KafkaMessages } from '../peers/protocol/exchange.ts'
import { type Body, bodyOf, type Direction, directions, frameOf, toHex, versionsOf } from './bodies.ts'
import { toKafkaJson } from './kafka-json.ts'
import { vectors } from './vectors.ts'

const seed = Number(process.env.PAGELOG_SEED ?? 20_260_711)
const BODIES = 30
const correlationId = 0x1234567
const clientId = 'pagelog ☂'

let kafka: KafkaMessages | undefined
beforeAll(async () => {
  kafka = await KafkaMessages.start()
})
afterAll(() => kafka?.close())

interface Case {
  readonly api: Api
  readonly direction: Direction
  readonly version: number
  readonly body: Body
}

function casesOf(api: Api, direction: Direction): Case[] {
  return versionsOf(api).flatMap((version) =>
    fc
      .sample(bodyOf(api[direction].fields, version), { seed, numRuns: BODIES })
      .map((body) => ({ api, direction, version, body })),
  )
}

function encode({ api, direction, version, body }: Case): string {
  return toHex(
    frameOf(
      direction === 'request'
        ? encodeRequest(api, version, correlationId, clientId, body)
        : encodeResponse(api, version, correlationId, body),
    ),
  )
}

function headerOf({ api, direction, version }: Case): object {
  const header = { requestApiKey: api.key, requestApiVersion: version, correlationId, clientId }
  return direction === 'request' ? header : { correlationId }
}

async function ask(cases: readonly Case[], question: (one: Case, index: number) => object): Promise<Answer[]> {
  return kafka!.ask(
    cases.map((one, index) => ({
      key: one.api.key,
      version: one.version,
      direction: one.direction,
      ...question(one, index),
    })),
  )
}

const messages = allApis.flatMap((api) =>
  directions.map((direction) => ({ name: api[direction].name, api, direction })),
)

describe(`with Kafka's message classes, seed ${seed}`, () => {
  test.each(messages)('Kafka reads our $name, every version, and writes the same bytes', async ({ api, direction }) => {
    const cases = casesOf(api, direction)
    const frames = cases.map(encode)
    const answers = await ask(cases, (_, index) => ({ do: 'decode', frame: frames[index] }))
    cases.forEach((one, i) => {
      const body = toKafkaJson(api[direction].fields, one.version, one.body, 'size')
      const expected = { header: headerOf(one), body, frame: frames[i] }
      expect(answers[i], `version ${one.version}`).toEqual(expected)
    })
  })

  test.each(messages)('we read the $name that Kafka writes, every version', async ({ api, direction }) => {
    const cases = casesOf(api, direction)
    const answers = await ask(cases, (one) => ({
      do: 'encode',
      header: headerOf(one),
      body: toKafkaJson(api[direction].fields, one.version, one.body, 'bytes'),
    }))
    cases.forEach((one, i) => {
      expect(answers[i]?.error, `version ${one.version}`).toBeUndefined()
      const frame = new Uint8Array(Buffer.from(answers[i]!.frame!, 'hex'))
      if (direction === 'request') {
        const header = decodeRequestHeader(frame)
        expect(header).toMatchObject({ apiKey: api.key, apiVersion: one.version, correlationId, clientId })
        expect(decodeRequest(api, one.version, frame), `version ${one.version}`).toEqual(one.body)
      } else {
        expect(decodeResponse(api, one.version, frame), `version ${one.version}`).toEqual({
          correlationId,
          body: one.body,
        })
      }
    })
  })

  test('the versions we serve are those that are stable in Kafka', async () => {
    const answers = await kafka!.ask(allApis.map((api) => ({ do: 'versions', key: api.key })))
    expect(answers).toEqual(allApis.map((api) => ({ oldest: api.minVersion, latest: api.maxVersion })))
  })

  test('our error codes are those of Kafka, with the same names and the same ones retriable', async () => {
    const [answer] = await kafka!.ask([{ do: 'errors' }])
    expect(kafkaErrors.map(({ code, name, retriable }) => ({ code, name, retriable }))).toEqual(answer!.errors)
  })

  test('the fixed vectors are what Kafka writes', async () => {
    const cases = vectors.flatMap(({ api, direction, body, frames }) =>
      Object.keys(frames).map((version) => ({ api, direction, version: Number(version), body })),
    )
    const answers = await ask(cases, (one) => ({
      do: 'encode',
      header: headerOf(one),
      body: toKafkaJson(one.api[one.direction].fields, one.version, one.body, 'bytes'),
    }))
    const expected = vectors.flatMap(({ frames }) => Object.values(frames).map((frame) => ({ frame })))
    expect(answers).toEqual(expected)
  })
})
