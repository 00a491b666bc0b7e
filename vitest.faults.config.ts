import { defineConfig } from 'vitest/config'

// The faults' tier (`npm run test:all -- faults`): real processes killed, real file systems full, failing, without power.
// One file at a time: they share the machine's two processors with the processes that they start.
export default defineConfig({
  test: {
    include: ['test/**/*.faults.ts'],
    testTimeout: 600_000,
    hookTimeout: 60_000,
    pool: 'forks',
    fileParallelism: false,
    reporters: ['default'],
  },
})
