import { conformance } from './conformance.ts'
import { embedded } from './stores.ts'

conformance('embedded', embedded)
