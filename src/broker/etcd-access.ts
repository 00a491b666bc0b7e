/**
 * Whether etcd asked this broker who it is. Whoever can write there owns the cluster, so an etcd that lets everybody in is
 * told of at start when it is reached by a network, and refused where `pagelog.etcd.require.auth` is set. An etcd that is
 * shown a certificate is believed to ask for it: that it would also have done without cannot be seen from here.
 */
import { isLoopback, type Logger, PagelogError } from '../base/index.ts'
import type { MetadataEndpoint } from './metadata-location.ts'
import type { BrokerSettings } from './settings.ts'

export interface EtcdAccess {
  readonly endpoints: readonly MetadataEndpoint[]
  readonly settings: Pick<BrokerSettings, 'metadataCa' | 'metadataCertificate' | 'etcdRequireAuth'>
  /** etcd knows the user by its password. */
  readonly isUserKnown: boolean
  readonly logger: Logger
}

/** Of an etcd that has answered. Error: PAGELOG_INVALID_SETTING. */
export function checkEtcdAccess({ endpoints, settings, isUserKnown, logger }: EtcdAccess): void {
  const hosts = endpoints.flatMap((endpoint) => ('host' in endpoint ? [`${endpoint.host}:${endpoint.port}`] : []))
  // The socket of a supervisor: the rights of its folder guard it.
  if (hosts.length === 0) return
  const etcd = hosts.join(',')
  const remedy = 'give it users or client certificates (pagelog.metadata.user, pagelog.metadata.certificate)'
  const isOpen = !isUserKnown && settings.metadataCertificate === ''
  if (isOpen && settings.etcdRequireAuth) {
    const message = `etcd at ${etcd} lets everybody in who reaches it, and pagelog.etcd.require.auth is set: ${remedy}`
    throw new PagelogError('PAGELOG_INVALID_SETTING', message)
  }
  if (endpoints.every((endpoint) => 'host' in endpoint && isLoopback(endpoint.host))) return
  if (isOpen)
    logger.warn({ etcd }, `etcd lets everybody in who reaches it, and who writes there owns the cluster: ${remedy}`)
  else if (settings.metadataCa === '' && settings.metadataCertificate === '') {
    logger.warn({ etcd }, 'the password for etcd goes over the network as it is: use TLS (pagelog.metadata.ca)')
  }
}
