/** Kafka's generated message classes in a JVM of their own (Conformance.java), asked line by line. */
import { fileURLToPath } from 'node:url'
import { JavaExchange } from '../java-exchange.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

export interface Answer {
  /** Of a question that failed. */
  readonly error?: string
  readonly frame?: string
  readonly header?: { readonly [name: string]: Json }
  readonly body?: Json
  readonly oldest?: number
  readonly latest?: number
  readonly errors?: readonly { readonly code: number; readonly name: string; readonly retriable: boolean }[]
}

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export class KafkaMessages extends JavaExchange<Answer> {
  static async start(): Promise<KafkaMessages> {
    return new KafkaMessages(await JavaExchange.run(file('pom.xml'), file('Conformance.java')))
  }
}
