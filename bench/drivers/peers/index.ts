/** Other clients for Node.js, by name. */
import type { PreparedClient } from '../../peers/other-clients.ts'
import { kafkajs } from './kafkajs.ts'
import { nodeRdkafka } from './node-rdkafka.ts'
import type { Peer } from './peer.ts'
import { platformatic } from './platformatic.ts'

export function loadPeer({ name, directory }: PreparedClient): Promise<Peer> {
  switch (name) {
    case 'kafkajs':
      return kafkajs(directory)
    case 'platformatic':
      return platformatic(directory)
    case 'node-rdkafka':
      return nodeRdkafka(directory)
    case 'librdkafka':
      throw new Error('its driver is a program of its own')
  }
}
