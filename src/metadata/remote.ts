/**
 * The ways to a store of another process. What they need is loaded when they are used: a broker by itself, which has its
 * store in its own process, starts without it.
 */
import type { EtcdMetadata, EtcdMetadataOptions } from './etcd.ts'
import type { MetadataServer, MetadataServerOptions } from './metadata-server.ts'

/** Connects to etcd, or to a `MetadataServer`; as `EtcdMetadata.open`. */
export async function connectMetadata(options: EtcdMetadataOptions): Promise<EtcdMetadata> {
  const { EtcdMetadata: client } = await import('./etcd.ts')
  return await client.open(options)
}

/** Offers a store to other processes of this host; as `MetadataServer.listen`. */
export async function serveMetadata(options: MetadataServerOptions): Promise<MetadataServer> {
  const { MetadataServer: server } = await import('./metadata-server.ts')
  return await server.listen(options)
}
