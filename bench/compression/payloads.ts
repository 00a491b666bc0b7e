/**
 * Values to compress, from a seed: what benchmarks, goals and tests of the codecs all use. No two are equal, and how well
 * they compress is known (a test holds it): with lz4 in batches of 64 KiB
 *
 *   text    lines of a service's log, about 120 bytes: a time, a level, a component, one of some twenty messages with
 *           numbers, names and addresses in it                                                              about 2.9 : 1
 *   json    events of a web shop, about 330 bytes: the same keys again and again, random ids, times, amounts, paths, the
 *           browsers of few makers                                                                          about 3.2 : 1
 *   random  100 random bytes: nothing to gain                                                               1 : 1
 *
 * A file of them is what other clients read: { length u32 big endian, value }…
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { randomBytes } from '../drivers/payloads.ts'

export const payloadKinds = ['text', 'json', 'random'] as const
export type PayloadKind = (typeof payloadKinds)[number]

export const PAYLOAD_SEED = 5
/** Enough that no cache holds it and no dictionary of a codec sees a value twice. */
export const PAYLOAD_BYTES = 32 << 20

const RANDOM_VALUE_BYTES = 100
const START_MS = Date.UTC(2026, 0, 5, 8)

/** xorshift32, as the random bytes. */
class Chance {
  #x: number

  constructor(seed: number) {
    this.#x = Math.imul(seed, 0x9e3779b1) >>> 0 || 1
  }

  /** 0 to n - 1. */
  below(n: number): number {
    let x = this.#x
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#x = x >>> 0
    return this.#x % n
  }

  /** Small numbers are likelier: of a few that are popular and many that are not. */
  skewed(n: number): number {
    return Math.min(this.below(n), this.below(n))
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  hex(digits: number): string {
    let text = ''
    for (let left = digits; left > 0; left -= 6) text += (this.below(0x1000000) + 0x1000000).toString(16).slice(1)
    return text.slice(0, digits)
  }
}

const LEVELS = ['INFO', 'INFO', 'INFO', 'INFO', 'INFO', 'DEBUG', 'DEBUG', 'WARN', 'ERROR'] as const
const COMPONENTS = ['http', 'auth', 'cart', 'orders.api', 'orders.store', 'payments', 'search', 'mailer'] as const
const HOSTS = ['eu-west-1a', 'eu-west-1b', 'eu-north-1a', 'us-east-1c'] as const
const PATHS = ['products', 'cart', 'checkout', 'search', 'account', 'orders', 'reviews', 'help'] as const
const METHODS = ['GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE'] as const
const NAMES = [
  'anna',
  'bela',
  'chidi',
  'dara',
  'emre',
  'fatou',
  'goran',
  'hana',
  'ines',
  'jun',
  'kofi',
  'lena',
] as const
const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/',
  'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/',
] as const
const EVENTS = ['page_viewed', 'product_viewed', 'added_to_cart', 'order_placed', 'search_done', 'logged_in'] as const
const CURRENCIES = ['EUR', 'EUR', 'EUR', 'USD', 'GBP', 'SEK'] as const

const address = (chance: Chance) => `10.${chance.below(8)}.${chance.below(256)}.${1 + chance.below(254)}`
const request = (chance: Chance) =>
  `${chance.of(METHODS)} /${chance.of(PATHS)}/${chance.skewed(50_000)} from ${address(chance)}`

const MESSAGES: readonly ((chance: Chance) => string)[] = [
  (c) => `${request(c)} answered 200 in ${c.skewed(900)} ms, ${c.below(60_000)} bytes`,
  (c) => `${request(c)} answered 304 in ${c.skewed(40)} ms`,
  (c) => `${request(c)} answered 404 in ${c.skewed(200)} ms`,
  (c) => `${request(c)} answered 500 in ${c.skewed(5000)} ms: upstream ${address(c)}:8443 closed the connection`,
  (c) => `user ${c.of(NAMES)}${c.skewed(9000)} signed in from ${address(c)}, session ${c.hex(16)}`,
  (c) => `user ${c.of(NAMES)}${c.skewed(9000)} gave a wrong password, attempt ${1 + c.below(5)}`,
  (c) => `order ${c.hex(10)} of ${1 + c.below(9)} items placed, total ${c.below(90_000) / 100} ${c.of(CURRENCIES)}`,
  (c) => `order ${c.hex(10)} moved from PENDING to PAID after ${c.skewed(30_000)} ms`,
  (c) => `query took ${c.skewed(800)} ms: select * from items where category = ${c.skewed(300)} limit ${c.below(100)}`,
  (c) => `cache miss for item ${c.skewed(50_000)}, loaded from store in ${c.skewed(60)} ms`,
  (c) => `payment ${c.hex(12)} authorised by provider in ${c.skewed(2500)} ms`,
  (c) => `retrying delivery of mail ${c.hex(8)} to queue ${c.below(16)}, attempt ${1 + c.below(4)} of 5`,
  (c) => `pool has ${c.below(64)} connections in use, ${c.below(64)} idle, ${c.below(10)} waiting`,
  (c) => `collected ${c.below(900)} MiB in ${c.skewed(120)} ms, heap now ${c.below(2000)} MiB`,
]

const makers: Readonly<Record<Exclude<PayloadKind, 'random'>, (chance: Chance, atMs: number) => string>> = {
  text: (c, atMs) =>
    `${new Date(atMs).toISOString()} ${c.of(LEVELS).padEnd(5)} [${c.of(HOSTS)} worker-${c.below(24)}] ${c.of(COMPONENTS)} - ${c.of(MESSAGES)(c)}`,
  json: (c, atMs) =>
    JSON.stringify({
      eventId: `${c.hex(8)}-${c.hex(4)}-${c.hex(12)}`,
      type: c.of(EVENTS),
      occurredAt: new Date(atMs).toISOString(),
      user: { id: c.skewed(2_000_000), name: `${c.of(NAMES)}${c.skewed(9000)}`, loyal: c.below(3) === 0 },
      session: c.hex(16),
      page: `/${c.of(PATHS)}/${c.skewed(50_000)}`,
      product: { sku: `SKU-${c.skewed(80_000)}`, price: c.below(90_000) / 100, currency: c.of(CURRENCIES) },
      agent: `${c.of(AGENTS)}${100 + c.below(40)}.0.${c.below(7000)}`,
      tookMs: c.skewed(900),
    }),
}

/** `bytes` of values or a little more, one after the other in one buffer. */
export function makePayload(kind: PayloadKind, bytes = PAYLOAD_BYTES, seed = PAYLOAD_SEED): Uint8Array[] {
  if (kind === 'random') {
    const count = Math.ceil(bytes / RANDOM_VALUE_BYTES)
    const all = randomBytes(count * RANDOM_VALUE_BYTES, seed)
    return Array.from({ length: count }, (_, at) =>
      all.subarray(at * RANDOM_VALUE_BYTES, (at + 1) * RANDOM_VALUE_BYTES),
    )
  }
  const chance = new Chance(seed)
  const make = makers[kind]
  const values: Uint8Array[] = []
  let atMs = START_MS
  for (let size = 0; size < bytes; size += values.at(-1)!.length) {
    atMs += chance.skewed(20)
    values.push(Buffer.from(make(chance, atMs), 'latin1'))
  }
  return values
}

export function writePayloadFile(path: string, values: readonly Uint8Array[]): void {
  const bytes = Buffer.allocUnsafe(values.reduce((sum, value) => sum + 4 + value.length, 0))
  let at = 0
  for (const value of values) {
    at = bytes.writeUInt32BE(value.length, at)
    bytes.set(value, at)
    at += value.length
  }
  writeFileSync(path, bytes)
}

export function readPayloadFile(path: string): Uint8Array[] {
  const bytes = readFileSync(path)
  const values: Uint8Array[] = []
  for (let at = 0; at + 4 <= bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    values.push(bytes.subarray(at + 4, end))
    at = end
  }
  return values
}
