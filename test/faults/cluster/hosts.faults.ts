/** Hosts in namespaces keep the contract that those behind proxies keep. */
import { holdsContract } from './hosts-contract.ts'

holdsContract('namespaces')
