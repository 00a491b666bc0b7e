import { defineConfig } from 'vitest/config'

// The peers' tier (`npm run test:all`): Apache Kafka's jars, its tools, kcat. One file at a time: they own the machine.
export default defineConfig({
  test: {
    include: ['test/**/*.compat.ts'],
    testTimeout: 180_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 15_000, interval: 20 } },
    pool: 'forks',
    fileParallelism: false,
    reporters: ['default'],
  },
})
