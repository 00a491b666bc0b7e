/**
 * `meta.properties` of a log directory: which node of which cluster it belongs to (KIP-631, directory id KIP-858).
 *
 *   version=1
 *   cluster.id=…        base64url uuid
 *   node.id=1
 *   directory.id=…      base64url uuid, of this directory alone
 */
import { PagelogError } from '../base/index.ts'
import type { Disk, Random } from '../env/index.ts'
import { META_PROPERTIES_FILE } from './file-names.ts'

export interface MetaProperties {
  readonly nodeId: number
  readonly clusterId: string
  readonly directoryId: string
}

export interface Identity {
  readonly nodeId?: number | undefined
  readonly clusterId?: string | undefined
}

/**
 * Reads the file, or writes it when it is missing: then ids not given are made. A directory of another node or cluster
 * is refused with PAGELOG_INVALID_ARGUMENT.
 */
export async function openMetaProperties(
  env: { readonly disk: Disk; readonly random: Random },
  directory: string,
  identity: Identity,
): Promise<MetaProperties> {
  const path = `${directory}/${META_PROPERTIES_FILE}`
  const content = await env.disk.readFile(path)
  const found = content === undefined ? new Map<string, string>() : parseProperties(new TextDecoder().decode(content))
  const storedNode = found.get('node.id') ?? found.get('broker.id')
  const storedCluster = found.get('cluster.id')
  refuseOther(path, 'node.id', storedNode, identity.nodeId?.toString())
  refuseOther(path, 'cluster.id', storedCluster, identity.clusterId)
  const nodeId = storedNode === undefined ? (identity.nodeId ?? 0) : Number(storedNode)
  if (!Number.isInteger(nodeId) || nodeId < 0) {
    throw new PagelogError('PAGELOG_CORRUPT', `${path}: node.id=${storedNode} is not a node id`, { path })
  }
  const clusterId = storedCluster ?? identity.clusterId ?? randomId(env.random)
  const storedDirectory = found.get('directory.id')
  const directoryId = storedDirectory ?? randomId(env.random)
  if (storedNode === undefined || storedCluster === undefined || storedDirectory === undefined) {
    const lines = ['version=1', `cluster.id=${clusterId}`, `node.id=${nodeId}`, `directory.id=${directoryId}`, '']
    await env.disk.replaceFile(path, new TextEncoder().encode(lines.join('\n')))
  }
  return { nodeId, clusterId, directoryId }
}

/** What the file says, without making one; undefined where there is none, or it does not say. */
export async function storedClusterId(disk: Disk, directory: string): Promise<string | undefined> {
  const content = await disk.readFile(`${directory}/${META_PROPERTIES_FILE}`)
  return content && parseProperties(new TextDecoder().decode(content)).get('cluster.id')
}

/** A uuid as Kafka writes it: 16 bytes in base64url, 22 characters; none begins with a dash. */
export function randomId(random: Random): string {
  for (;;) {
    const text = btoa(String.fromCharCode(...random.bytes(16)))
    const id = text.replaceAll('+', '-').replaceAll('/', '_').slice(0, 22)
    if (!id.startsWith('-')) return id
  }
}

function refuseOther(path: string, name: string, stored: string | undefined, given: string | undefined): void {
  if (stored === undefined || given === undefined || stored === given) return
  throw new PagelogError('PAGELOG_INVALID_ARGUMENT', `log directory belongs to ${name}=${stored}, not to ${given}`, {
    path,
  })
}

/** `key=value` lines, comments skipped; a backslash keeps the character behind it. */
function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>()
  for (const line of text.split('\n')) {
    const trimmed = line.trim()
    const separator = trimmed.search(/[=:]/)
    if (trimmed.startsWith('#') || separator <= 0) continue
    const value = trimmed.slice(separator + 1).trim()
    properties.set(trimmed.slice(0, separator).trim(), value.replace(/\\(.)/g, '$1'))
  }
  return properties
}
