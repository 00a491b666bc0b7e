/** The cluster's brokers as clients are told of them, by Metadata and by DescribeCluster. */
import type { BrokerFacade } from './facade.ts'

/** Bits of Kafka's AclOperation: what may be asked of a cluster. */
export const CLUSTER_OPERATIONS = 0b1_1111_1010_0000
export const NOT_ASKED = -2147483648

export interface DescribedBroker {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** By id; never empty: a client that reached us can go on asking us. */
export function describedBrokers(broker: BrokerFacade): DescribedBroker[] {
  const { image, nodeId, advertised, settings } = broker
  const self = { id: nodeId, ...advertised, rack: settings.brokerRack }
  const brokers = image.brokers.size > 0 ? [...image.brokers.values()] : [self]
  return brokers
    .map(({ id, host, port, rack }) => ({ id, host, port, rack: rack === '' ? null : rack }))
    .sort((a, b) => a.id - b.id)
}

/** While there is none, whoever is asked: it finds out that it is not, and the client asks again. */
export function controllerOf({ image, nodeId }: BrokerFacade): number {
  return image.controller?.id ?? nodeId
}
