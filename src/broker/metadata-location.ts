/** Where the metadata of a cluster is, as `pagelog.metadata` says it. */
import { PagelogError } from '../base/index.ts'

export type MetadataEndpoint = { readonly host: string; readonly port: number } | { readonly socketPath: string }

export type MetadataLocation =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'remote'; readonly endpoints: readonly MetadataEndpoint[] }

const ETCD_PORT = 2379

/** `embedded`, `etcd://host:port,host:port` or `socket:/path`. Error: PAGELOG_INVALID_SETTING. */
export function parseMetadataLocation(text: string): MetadataLocation {
  if (text === 'embedded') return { kind: 'embedded' }
  if (text.startsWith('socket:') && text.length > 'socket:'.length) {
    return { kind: 'remote', endpoints: [{ socketPath: text.slice('socket:'.length) }] }
  }
  const hosts = /^etcd:\/\/(.+)$/.exec(text)?.[1]
  if (hosts === undefined) throw refuse(text, 'allowed is embedded, etcd://host:port,host:port or socket:/path')
  return {
    kind: 'remote',
    endpoints: hosts
      .replace(/\/$/, '')
      .split(',')
      .map((host) => endpointOf(text, host)),
  }
}

function endpointOf(text: string, address: string): MetadataEndpoint {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:/[\]\s]+)(?::(\d{1,5}))?$/.exec(address.trim())
  const port = Number(match?.[2] ?? ETCD_PORT)
  if (!match || port < 1 || port > 65535) throw refuse(text, `${address} is no host:port`)
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port }
}

function refuse(text: string, why: string): PagelogError {
  return new PagelogError('PAGELOG_INVALID_SETTING', `pagelog.metadata=${text}: ${why}`)
}
