import { defineConfig } from 'vitest/config'

// Fast tests by default; `scripts/test-all.mjs` runs the peers (`*.compat.ts`) with vitest.peers.config.ts.
export default defineConfig({
  test: {
    include: ['test/**/*.{test,fuzz,crash,native}.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // What is waited for comes late on a busy machine: the usual second is no time.
    expect: { poll: { timeout: 15_000, interval: 20 } },
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default'],
  },
})
