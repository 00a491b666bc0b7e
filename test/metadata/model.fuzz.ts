import { modelTest } from './model.ts'
import { embedded, served } from './stores.ts'

modelTest('embedded', embedded, { runs: 150, timePasses: true })
modelTest('embedded, its journal compacted all the time', () => embedded({ compactAboveBytes: 300 }), {
  runs: 80,
  timePasses: true,
})
modelTest('served on a socket', served, { runs: 30, timePasses: true })
