import { conformance } from './conformance.ts'
import { remoteConformance } from './remote-conformance.ts'
import { served } from './stores.ts'

conformance('served on a socket', served)
remoteConformance('served on a socket', served)
