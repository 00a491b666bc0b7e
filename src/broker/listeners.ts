/** `PLAINTEXT://host:port`, as in `listeners` and `advertised.listeners`. */
import { PagelogError } from '../base/index.ts'

export interface Endpoint {
  /** Empty for every address. */
  readonly host: string
  readonly port: number
}

/** Error: PAGELOG_INVALID_SETTING. */
export function parseListener(setting: string, text: string): Endpoint {
  const match = /^([A-Z][A-Z0-9_]*):\/\/(\[[0-9a-fA-F:.]+\]|[^:/[\]]*):(\d{1,5})$/.exec(text.trim())
  if (!match) throw refuse(setting, text, 'allowed is PLAINTEXT://host:port')
  if (match[1] !== 'PLAINTEXT') throw refuse(setting, text, `the protocol ${match[1]} is not supported yet`)
  const port = Number(match[3])
  if (port > 65535) throw refuse(setting, text, 'the port is above 65535')
  return { host: match[2]!.replace(/^\[|\]$/g, ''), port }
}

/** One listener is supported for now. Error: PAGELOG_INVALID_SETTING. */
export function singleListener(setting: string, listeners: readonly string[]): Endpoint {
  if (listeners.length !== 1) throw refuse(setting, listeners.join(','), 'exactly one listener is supported yet')
  return parseListener(setting, listeners[0]!)
}

function refuse(setting: string, text: string, why: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_SETTING', `${setting}=${text}: ${why}`)
}
